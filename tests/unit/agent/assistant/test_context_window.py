"""The limit of the model's context, and the summaries of long conversations."""

import asyncio
import logging
from typing import Any

import pytest
from livekit.agents import APIConnectOptions, APIStatusError, llm
from voicesession_agent.assistant.context_window import (
    BYTES_PER_TOKEN,
    CONTEXT_TOKENS,
    LEAST_TOKENS,
    MAX_STOPS,
    SUMMARY_CHARACTERS,
    SUMMARY_NOTICE,
    UNSUMMARIZED_TOKENS,
    ContextWindow,
    truncate,
)

from tests.support.async_polling import until


def conversation(turns: int, instructions: str = "Be brief.", text: str = "word " * 20) -> llm.ChatContext:
    context = llm.ChatContext.empty()
    context.add_message(role="system", content=instructions)
    for number in range(turns):
        context.add_message(role="user", content=f"{number} {text}")
        context.add_message(role="assistant", content=text)
    return context


def estimate(context: llm.ChatContext) -> int:
    texts = [item.text_content or "" for item in context.items if isinstance(item, llm.ChatMessage)]
    return sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN


def test_short_context_is_unchanged() -> None:
    context = conversation(20)
    assert truncate(context) is context


@pytest.mark.parametrize("text", ["word " * 20, "слово " * 20, "字" * 60])
def test_context_of_an_hour_fits_small_model_with_instructions_and_last_turn(text: str) -> None:
    context = conversation(1000, text=text)
    shortened = truncate(context)
    first, last = shortened.items[0], shortened.items[-2]
    assert isinstance(first, llm.ChatMessage)
    assert isinstance(last, llm.ChatMessage)
    assert (first.text_content, last.text_content) == ("Be brief.", f"999 {text}")
    assert CONTEXT_TOKENS * 0.8 < estimate(shortened) <= CONTEXT_TOKENS
    assert len(context.items) == 2001, "the session keeps its history"


def test_long_instructions_leave_room_for_conversation() -> None:
    shortened = truncate(conversation(1000, instructions="x" * BYTES_PER_TOKEN * 2 * CONTEXT_TOKENS))
    assert LEAST_TOKENS * 0.8 < estimate(shortened) - 2 * CONTEXT_TOKENS <= LEAST_TOKENS


def test_single_long_message_stays() -> None:
    context = conversation(5)
    context.add_message(role="user", content="x" * BYTES_PER_TOKEN * 2 * CONTEXT_TOKENS)
    assert [item.type for item in truncate(context).items] == ["message"] * 2


def test_output_of_tool_does_not_stay_without_call() -> None:
    context = conversation(0)
    call = llm.FunctionCall(call_id="1", name="look", arguments="x" * BYTES_PER_TOKEN * CONTEXT_TOKENS)
    context.insert([call, llm.FunctionCallOutput(call_id="1", name="look", output="y", is_error=False)])
    context.add_message(role="user", content="And now?")
    assert [item.type for item in truncate(context).items] == ["message"] * 2


class SummaryModel(llm.LLM[Any]):
    """A model that writes `summary` once it may, or fails; it keeps the requests."""

    def __init__(self, summary: str = "They talk about numbers.") -> None:
        super().__init__()
        self.summary = summary
        self.requests = list[str]()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error: Exception | None = None
        self.closed = False

    def chat(self, *, chat_ctx: llm.ChatContext, tools: Any = None, conn_options: Any = None, **_: Any) -> Any:
        self.requests.append(texts(chat_ctx)[-1])
        return Summary(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options or APIConnectOptions())

    async def aclose(self) -> None:
        self.closed = True


class Summary(llm.LLMStream):
    """The stream of a summary, word by word."""

    async def _run(self) -> None:
        model: Any = self._llm
        await model.may_answer.wait()
        if model.error is not None:
            raise model.error
        for word in model.summary.split(" "):
            delta = llm.ChoiceDelta(role="assistant", content=f"{word} ")
            self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))


def texts(context: llm.ChatContext) -> list[str]:
    return [item.text_content or "" for item in context.items if isinstance(item, llm.ChatMessage)]


TURNS = 2 * UNSUMMARIZED_TOKENS // 100
"""Turns of about 80 tokens: long enough for a summary, and shorter than the context."""


@pytest.fixture
def model() -> SummaryModel:
    return SummaryModel()


@pytest.fixture
def window(model: SummaryModel, caplog: pytest.LogCaptureFixture) -> ContextWindow:
    caplog.set_level(logging.INFO)
    return ContextWindow(lambda: model, lambda _: None)


async def summarize(window: ContextWindow, context: llm.ChatContext, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Let the window write a summary; return the messages that the model sees then."""
    caplog.clear()
    window.summarize(context)
    await until(lambda: "is summarized" in caplog.text)
    return texts(window.shorten(context))


async def test_short_conversation_is_not_summarized(window: ContextWindow, model: SummaryModel) -> None:
    context = conversation(10)
    window.summarize(context)
    assert window.shorten(context) is context
    assert model.requests == []


async def test_long_conversation_has_instructions_summary_and_newest_turns(
    window: ContextWindow, model: SummaryModel, caplog: pytest.LogCaptureFixture
) -> None:
    context = conversation(TURNS)
    instructions, summary, first, *newest = await summarize(window, context, caplog)
    assert instructions == "Be brief."
    assert summary == f"{SUMMARY_NOTICE}\nThey talk about numbers."
    number = int(first.split()[0])
    assert 0 < number < TURNS - 5
    assert newest[-2].startswith(f"{TURNS - 1} ")
    assert f"\nuser: {number - 1} word" in model.requests[0]
    assert f"\nuser: {number} word" not in model.requests[0]
    assert "Be brief." not in model.requests[0]


async def test_summary_contains_earlier_summary(
    window: ContextWindow, model: SummaryModel, caplog: pytest.LogCaptureFixture
) -> None:
    context = conversation(TURNS)
    await summarize(window, context, caplog)
    for number in range(TURNS):
        context.add_message(role="user", content=f"later {number} " + "word " * 40)
    model.summary = "They still talk."
    assert "They still talk." in (await summarize(window, context, caplog))[1]
    assert model.requests[1].startswith("summary: They talk about numbers.\n")
    assert sum(SUMMARY_NOTICE in text for text in texts(window.shorten(context))) == 1


async def test_summarized_context_of_an_hour_fits_small_model(
    window: ContextWindow, model: SummaryModel, caplog: pytest.LogCaptureFixture
) -> None:
    model.summary = "x" * 2 * SUMMARY_CHARACTERS
    context = conversation(1000)
    seen = await summarize(window, context, caplog)
    assert len(seen[1]) == len(SUMMARY_NOTICE) + 1 + SUMMARY_CHARACTERS
    assert sum(len(text.encode()) for text in seen) // BYTES_PER_TOKEN <= CONTEXT_TOKENS
    assert len(model.requests[0].encode()) <= CONTEXT_TOKENS * BYTES_PER_TOKEN


async def test_answer_stops_unfinished_summary(
    window: ContextWindow, model: SummaryModel, caplog: pytest.LogCaptureFixture
) -> None:
    context = conversation(TURNS)
    model.may_answer.clear()
    window.summarize(context)
    await until(lambda: len(model.requests) == 1)
    assert texts(window.shorten(context)) == texts(truncate(context))
    model.may_answer.set()
    await summarize(window, context, caplog)
    assert len(model.requests) == 2


async def test_fast_conversation_gets_summary(
    window: ContextWindow, model: SummaryModel, caplog: pytest.LogCaptureFixture
) -> None:
    context = conversation(TURNS)
    model.may_answer.clear()
    for number in range(MAX_STOPS + 1):
        window.summarize(context)
        await until(lambda: len(model.requests) == number + 1)  # noqa: B023
        window.shorten(context)
    window.summarize(context)
    model.may_answer.set()
    await until(lambda: "is summarized" in caplog.text)
    assert len(model.requests) == MAX_STOPS + 1


async def test_job_continues_with_summary_of_earlier_job(model: SummaryModel, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reports: list[str] = []
    window = ContextWindow(lambda: model, reports.append, "They met.")
    short = conversation(3)
    assert texts(window.shorten(short))[:3] == ["Be brief.", f"{SUMMARY_NOTICE}\nThey met.", texts(short)[1]]
    context = conversation(TURNS)
    seen = await summarize(window, context, caplog)
    assert seen[1] == f"{SUMMARY_NOTICE}\nThey talk about numbers."
    assert model.requests[0].startswith("summary: They met.\n")
    assert reports == ["They talk about numbers."]


@pytest.mark.parametrize("error", [APIStatusError("no", status_code=400), RuntimeError("no")])
async def test_failed_summary_leaves_truncated_context(
    window: ContextWindow, model: SummaryModel, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    context = conversation(1000)
    model.error = error
    window.summarize(context)
    await until(lambda: "cannot be summarized" in caplog.text)
    assert texts(window.shorten(context)) == texts(truncate(context))
    model.error = None
    await summarize(window, context, caplog)


async def test_slow_model_leaves_truncated_context(model: SummaryModel, caplog: pytest.LogCaptureFixture) -> None:
    window = ContextWindow(lambda: model, lambda _: None, seconds=0.01)
    model.may_answer.clear()
    window.summarize(conversation(TURNS))
    await until(lambda: "cannot be summarized" in caplog.text)


async def test_summary_separates_no_tool_call_from_output(
    window: ContextWindow, caplog: pytest.LogCaptureFixture
) -> None:
    context = conversation(TURNS)
    for number in range(TURNS):
        call = llm.FunctionCall(call_id=str(number), name="look", arguments="{}")
        output = llm.FunctionCallOutput(call_id=str(number), name="look", output="y" * 200, is_error=False)
        context.insert([call, output])
    context.add_message(role="user", content="And now?")
    await summarize(window, context, caplog)
    kept = window.shorten(context).items
    calls = [item.call_id for item in kept if item.type == "function_call"]
    assert calls == [item.call_id for item in kept if item.type == "function_call_output"]


async def test_summary_of_another_context_is_not_used(window: ContextWindow, caplog: pytest.LogCaptureFixture) -> None:
    await summarize(window, conversation(TURNS), caplog)
    other = conversation(3)
    assert window.shorten(other) is other


async def test_close_stops_summary_and_closes_model(window: ContextWindow, model: SummaryModel) -> None:
    model.may_answer.clear()
    window.summarize(conversation(TURNS))
    await until(lambda: len(model.requests) == 1)
    await window.close()
    assert model.closed
    await ContextWindow(lambda: model, lambda _: None).close()
