"""The limit of the model's context."""

import pytest
from livekit.agents import llm
from voicesession_agent.assistant.memory_context import BYTES_PER_TOKEN, CONTEXT_TOKENS, LEAST_TOKENS, shorten


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
    assert shorten(context) is context


@pytest.mark.parametrize("text", ["word " * 20, "слово " * 20, "字" * 60])
def test_context_of_an_hour_fits_small_model_with_instructions_and_last_turn(text: str) -> None:
    context = conversation(1000, text=text)
    shortened = shorten(context)
    first, last = shortened.items[0], shortened.items[-2]
    assert isinstance(first, llm.ChatMessage)
    assert isinstance(last, llm.ChatMessage)
    assert (first.text_content, last.text_content) == ("Be brief.", f"999 {text}")
    assert CONTEXT_TOKENS * 0.8 < estimate(shortened) <= CONTEXT_TOKENS
    assert len(context.items) == 2001, "the session keeps its history"


def test_long_instructions_leave_room_for_conversation() -> None:
    shortened = shorten(conversation(1000, instructions="x" * BYTES_PER_TOKEN * 2 * CONTEXT_TOKENS))
    assert LEAST_TOKENS * 0.8 < estimate(shortened) - 2 * CONTEXT_TOKENS <= LEAST_TOKENS


def test_single_long_message_stays() -> None:
    context = conversation(5)
    context.add_message(role="user", content="x" * BYTES_PER_TOKEN * 2 * CONTEXT_TOKENS)
    assert [item.type for item in shorten(context).items] == ["message"] * 2


def test_output_of_tool_does_not_stay_without_call() -> None:
    context = conversation(0)
    call = llm.FunctionCall(call_id="1", name="look", arguments="x" * BYTES_PER_TOKEN * CONTEXT_TOKENS)
    context.insert([call, llm.FunctionCallOutput(call_id="1", name="look", output="y", is_error=False)])
    context.add_message(role="user", content="And now?")
    assert [item.type for item in shorten(context).items] == ["message"] * 2
