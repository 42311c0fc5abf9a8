"""A scripted, OpenAI-compatible language model: it answers by rules from the prompt, always the same.

It replaces a real model for demos and tests, and its name says so: `scripted-1`.
"""

import hashlib
import json
import math
import re
import time
import uuid
from asyncio import sleep
from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web
from rules import Refuse, Say, ToolCall, decide, normalize

MODEL: Final = "scripted-1"
OWNER: Final = "scripted"
CONTEXT_TOKENS: Final = 32000
SMALL_MODEL: Final = "scripted-8k"
"""The same model with a context of SMALL_CONTEXT_TOKENS: a longer request is refused, as hosted models do."""
SMALL_CONTEXT_TOKENS: Final = 8000
BYTES_PER_TOKEN: Final = 4
"""UTF-8 bytes of a token in English text."""
DIMENSIONS: Final = 1536
"""The dimensions of OpenAI's text-embedding-3-small, which Letta requests by that name."""
WORD_SECONDS: Final = 0.005
MAX_BODY_BYTES: Final = 64 << 20
PORT: Final = 8000


async def chat(request: web.Request) -> web.StreamResponse:
    """Answer a chat completion, whole or streamed."""
    body = await _body(request)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return _bad_request("messages must be a list with at least one message")
    if body.get("model") == SMALL_MODEL and _tokens(messages) > SMALL_CONTEXT_TOKENS:
        return _bad_request(f"the context has {SMALL_CONTEXT_TOKENS} tokens", "context_length_exceeded")
    reply = decide(messages, body.get("tools") or [])
    if isinstance(reply, Refuse):
        return web.json_response({"error": {"message": "refused as requested", "type": "error"}}, status=reply.status)
    head = {"id": f"chatcmpl-{uuid.uuid4().hex[:12]}", "created": int(time.time()), "model": body.get("model", MODEL)}
    usage = _usage(messages, reply)
    if not body.get("stream"):
        choice = {"index": 0, "message": _message(reply), "finish_reason": _finish(reply)}
        return web.json_response({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
    with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    return await _stream(request, head, reply, usage if with_usage else None)


async def _stream(
    request: web.Request, head: dict[str, Any], reply: Say | ToolCall, usage: dict[str, int] | None
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)

    async def send(choices: list[dict[str, Any]], **more: Any) -> None:
        chunk = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    pauses = [reply.pause_seconds] if isinstance(reply, Say) and reply.pause_seconds else []
    for delta in _deltas(reply):
        await send([{"index": 0, "delta": delta, "finish_reason": None}])
        await sleep(pauses.pop() if pauses and delta.get("content", "").endswith(". ") else WORD_SECONDS)
    await send([{"index": 0, "delta": {}, "finish_reason": _finish(reply)}])
    if usage is not None:
        await send([], usage=usage)
    await response.write(b"data: [DONE]\n\n")
    return response


def _deltas(reply: Say | ToolCall) -> Iterator[dict[str, Any]]:
    if isinstance(reply, Say):
        yield {"role": "assistant", "content": ""}
        for word in re.findall(r"\S+\s*", reply.text):
            yield {"content": word}
        return
    yield {"role": "assistant", "content": None}
    yield {"tool_calls": [{"index": 0, **_tool_call(reply)}]}


def _message(reply: Say | ToolCall) -> dict[str, Any]:
    if isinstance(reply, Say):
        return {"role": "assistant", "content": reply.text}
    return {"role": "assistant", "content": None, "tool_calls": [_tool_call(reply)]}


def _tool_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"id": f"call_{uuid.uuid4().hex[:8]}", "type": "function", "function": function}


def _finish(reply: Say | ToolCall) -> str:
    return "stop" if isinstance(reply, Say) else "tool_calls"


def _tokens(messages: list[dict[str, Any]]) -> int:
    """Estimate the tokens of a request from its length."""
    return len(json.dumps(messages, ensure_ascii=False).encode()) // BYTES_PER_TOKEN


def _usage(messages: list[dict[str, Any]], reply: Say | ToolCall) -> dict[str, int]:
    """Count words instead of tokens: nothing is billed by them."""
    prompt = sum(len(str(message.get("content") or "").split()) for message in messages)
    completion = len(reply.text.split()) if isinstance(reply, Say) else 1
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def models(_: web.Request) -> web.Response:
    """List the single model."""
    model = {
        "id": MODEL,
        "object": "model",
        "created": 0,
        "owned_by": OWNER,
        "max_model_len": CONTEXT_TOKENS,
        "context_window": CONTEXT_TOKENS,
        "context_length": CONTEXT_TOKENS,
    }
    return web.json_response({"object": "list", "data": [model]})


async def embeddings(request: web.Request) -> web.Response:
    """Answer an embeddings request."""
    body = await _body(request)
    given = body.get("input", "")
    texts = given if isinstance(given, list) else [given]
    size = int(body.get("dimensions") or DIMENSIONS)
    data = [{"object": "embedding", "index": n, "embedding": embed(str(t), size)} for n, t in enumerate(texts)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return web.json_response({"object": "list", "model": body.get("model", MODEL), "data": data, "usage": usage})


def embed(text: str, size: int = DIMENSIONS) -> list[float]:
    """Return the hashed words as a unit vector of `size` numbers; texts with equal words are near."""
    vector = [0.0] * size
    for word in re.findall(r"[a-z0-9]+", normalize(text).lower()):
        number = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
        vector[number % size] += 1 if (number >> 40) & 1 else -1
    length = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / length for x in vector]


async def healthz(_: web.Request) -> web.Response:
    """Answer the liveness probe."""
    return web.Response(text="scripted\n")


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except json.JSONDecodeError as error:
        raise web.HTTPBadRequest(text="the body is not JSON") from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body is not an object")
    return body


def _bad_request(message: str, code: str | None = None) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "invalid_request_error", "code": code}}, status=400)


def make_app() -> web.Application:
    """Create the server."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes(
        [
            web.post("/v1/chat/completions", chat),
            web.post("/v1/embeddings", embeddings),
            web.get("/v1/models", models),
            web.get("/healthz", healthz),
        ]
    )
    return app


if __name__ == "__main__":
    web.run_app(make_app(), port=PORT, print=None, access_log=None)
