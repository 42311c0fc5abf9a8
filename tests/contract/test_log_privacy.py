"""Logs of livekit-agents' own session and job process: a canary in every text of a conversation reaches no line."""

import io
import json
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import openai
import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, APIConnectOptions, APIStatusError, function_tool, llm, tts
from livekit.agents.ipc.log_queue import LogQueueHandler, LogQueueListener
from livekit.agents.testing import fake_job_context
from livekit.agents.utils.aio.duplex_unix import _Duplex
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.io import AudioOutput, AudioOutputCapabilities
from voicesession_agent.json_logging import AgentJsonFormatter, RedactingFilter

CANARY = "kumquat"
RETRY_ONCE = APIConnectOptions(max_retry=1, retry_interval=0.0)
FAILURES = SessionConnectOptions(llm_conn_options=RETRY_ONCE, tts_conn_options=RETRY_ONCE)


class ScriptedModel(llm.LLM[Any]):
    """A model that says the canary, calls a tool with it, or fails with an error that quotes it."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action = action

    def chat(self, *, chat_ctx: llm.ChatContext, tools: Any = None, conn_options: Any = None, **_: Any) -> Any:
        return ScriptedStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class ScriptedStream(llm.LLMStream):
    """One answer of the model; it has nothing to say to the result of a tool."""

    async def _run(self) -> None:
        assert isinstance(self._llm, ScriptedModel)
        action = self._llm.action
        if action == "fail":
            raise APIStatusError(f"the prompt {CANARY} was refused", status_code=400, body={"prompt": CANARY})
        delta = llm.ChoiceDelta(role="assistant", content=f"Your {CANARY} is {CANARY}.")
        if action != "say":
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[self._call(action)])
            self._llm.action = "say"
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))

    def _call(self, tool: str) -> llm.FunctionToolCall:
        arguments = json.dumps({"text": CANARY, CANARY: CANARY})
        return llm.FunctionToolCall(name=tool, arguments=arguments, call_id="call_1")


class SilentVoice(tts.TTS[Any]):
    """A voice that cannot pronounce anything, as Pico with a foreign alphabet."""

    def __init__(self) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=16000, num_channels=1)

    def synthesize(self, text: str, *, conn_options: Any = RETRY_ONCE) -> tts.ChunkedStream:
        return SilentStream(tts=self, input_text=text, conn_options=conn_options)


class SilentStream(tts.ChunkedStream):
    """Speech without a frame."""

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(request_id="1", sample_rate=16000, num_channels=1, mime_type="audio/pcm")
        output_emitter.flush()


class Loudspeaker(AudioOutput):
    """An audio output that plays nothing."""

    def __init__(self) -> None:
        super().__init__(label="test", capabilities=AudioOutputCapabilities(pause=False))

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)

    def flush(self) -> None:
        super().flush()

    def clear_buffer(self) -> None:
        return


@function_tool
async def fail_with(text: str) -> None:
    """Fail with an error that quotes the argument."""
    raise KeyError(text)


@contextmanager
def captured_log() -> Iterator[io.StringIO]:
    """Capture every record of every logger as this package writes it."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(AgentJsonFormatter())
    handler.addFilter(RedactingFilter())
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@pytest.mark.parametrize(
    ("action", "logged"),
    [
        ("say", "failed to synthesize speech"),
        ("fail", "status_code=400"),
        ("fail_with", "exception occurred while executing tool"),
        (CANARY, "unknown AI function"),
    ],
)
async def test_typed_turn_with_canary_leaves_no_word_in_log(action: str, logged: str) -> None:
    with captured_log() as stream, fake_job_context(room=rtc.Room()) as ctx:
        session: AgentSession[None] = AgentSession(llm=ScriptedModel(action), tts=SilentVoice(), conn_options=FAILURES)
        session.output.audio = Loudspeaker()
        await session.start(Agent(instructions=f"Never say {CANARY}.", tools=[fail_with]))
        with suppress(Exception):
            await session.generate_reply(user_input=f"My secret is {CANARY}.")
        await session.aclose()
    ctx._tempdir.cleanup()  # noqa: SLF001 - the stand-in of a context leaves it
    assert logged in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_record_of_job_reaches_supervisor_without_error_text() -> None:
    """A record crosses livekit-agents' socket with its error as text, which the job has to redact before."""
    sent, received = socket.socketpair()
    handler = LogQueueHandler(_Duplex.open(sent))
    listener = LogQueueListener(_Duplex.open(received), lambda _: None)
    lines: list[str] = []

    def handle(record: logging.LogRecord) -> None:
        RedactingFilter().filter(record)
        lines.append(AgentJsonFormatter().format(record))

    listener.handle = handle  # type: ignore[method-assign]
    listener.start()
    handler.addFilter(RedactingFilter())
    error = ValueError(f"message: {CANARY}\n  File {CANARY}")
    record = logging.makeLogRecord(
        {
            "name": "openai",
            "pathname": openai.__file__,
            "levelname": "ERROR",
            "msg": f"request failed: {CANARY}",
            "exc_info": (ValueError, error, None),
        }
    )
    handler.handle(record)
    handler.close()
    handler.thread.join()
    listener.stop()
    (line,) = map(json.loads, lines)
    assert (line["message"], line["error"]) == ("request failed", "builtins.ValueError")
