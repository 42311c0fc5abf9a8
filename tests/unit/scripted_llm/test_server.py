"""HTTP API of the scripted model: chat completions, embeddings, models."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import scripted_llm
from aiohttp import web

REQUEST = {"model": "scripted-1", "messages": [{"role": "user", "content": "Can you hear me?"}]}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    runner = web.AppRunner(scripted_llm.make_app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def post(url: str, body: Any) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.post(url, data=json.dumps(body)) as answer:
        return answer.status, await answer.text()


async def get(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return await answer.text()


async def test_chat_completion_returns_whole_answer(url: str) -> None:
    status, text = await post(url + "/v1/chat/completions", REQUEST)
    answer = json.loads(text)
    assert (status, answer["object"], answer["model"]) == (200, "chat.completion", "scripted-1")
    assert answer["choices"][0]["message"]["content"] == "Yes, I can hear you."


async def test_chat_completion_streams_words_and_usage(url: str) -> None:
    body = REQUEST | {"stream": True, "stream_options": {"include_usage": True}}
    _, text = await post(url + "/v1/chat/completions", body)
    events = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    words = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    assert "".join(words) == "Yes, I can hear you."
    assert chunks[-1]["usage"]["total_tokens"] > 0


async def test_chat_completion_streams_tool_call(url: str) -> None:
    tool = {"type": "function", "function": {"name": "send_message", "parameters": {"properties": {"message": {}}}}}
    _, text = await post(url + "/v1/chat/completions", REQUEST | {"stream": True, "tools": [tool]})
    assert '"name": "send_message"' in text
    assert '"finish_reason": "tool_calls"' in text


@pytest.mark.parametrize("stream", [True, False])
async def test_chat_completion_refuses_as_requested(url: str, stream: bool) -> None:
    body = {"messages": [{"role": "user", "content": "Refuse with status 503."}], "stream": stream}
    assert (await post(url + "/v1/chat/completions", body))[0] == 503


async def test_chat_completion_pauses_after_first_sentence(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = list[float]()

    async def record(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("scripted_llm.sleep", record)
    body = {"messages": [{"role": "user", "content": "Pause for 12 seconds."}], "stream": True}
    _, text = await post(url + "/v1/chat/completions", body)
    assert pauses.count(12.0) == 1
    assert "pause. " in text[: text.index("After")]


@pytest.mark.parametrize("body", [[], {}, {"messages": []}])
async def test_chat_completion_without_messages_returns_400(url: str, body: Any) -> None:
    assert (await post(url + "/v1/chat/completions", body))[0] == 400


async def test_models_and_health_name_the_scripted_model(url: str) -> None:
    models = json.loads(await get(url + "/v1/models"))["data"]
    assert [(m["id"], m["owned_by"]) for m in models] == [("scripted-1", "scripted")]
    assert "scripted" in await get(url + "/healthz")


async def test_embeddings_are_near_for_equal_words(url: str) -> None:
    _, text = await post(url + "/v1/embeddings", {"model": "x", "input": ["blue dog", "dog blue", "red cat"]})
    one, two, three = (item["embedding"] for item in json.loads(text)["data"])
    assert len(one) == 1536
    assert sum(a * b for a, b in zip(one, two, strict=True)) == pytest.approx(1)
    assert sum(a * b for a, b in zip(one, three, strict=True)) < 0.5


@pytest.mark.parametrize(("model", "status"), [("scripted-1", 200), ("scripted-8k", 400)])
async def test_small_model_refuses_request_above_context(url: str, model: str, status: int) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "word " * 8000}]}
    found, text = await post(url + "/v1/chat/completions", body)
    assert (found, "context_length_exceeded" in text) == (status, status == 400)
