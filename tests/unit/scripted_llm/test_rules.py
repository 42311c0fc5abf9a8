"""Replies and tool calls of the scripted model's rules."""

import json
from typing import Any

import pytest
from rules import Refuse, Say, ToolCall, decide

SYSTEM = {
    "role": "system",
    "content": (
        "You are the voice of this project. Use what you know about the project.\n"
        '<memory_block label="human">\n<value>The user\'s name is Ann.</value>\n</memory_block>\n'
        '<memory_block label="project">\n<description>About the project.</description>\n'
        "<value>It began in May. The project gives every voice conversation its own room. It is free.</value>\n"
        "</memory_block>"
    ),
}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def tool(name: str, *arguments: str) -> dict[str, Any]:
    properties = {argument: {"type": "string"} for argument in arguments}
    return {"type": "function", "function": {"name": name, "parameters": {"properties": properties}}}


@pytest.mark.parametrize(
    ("heard", "answer"),
    [
        ("Test one.", "You said: Test one."),
        ("Can you hear me?", "Yes, I can hear you."),
        ("Remember that my favourite colour is blue.", "Okay, I will remember that your favorite color is blue."),
        ("Remembered that my dog is Rex", "Okay, I will remember that your dog is rex."),
        ("What is my favorite color?", "I do not know your favorite color yet."),
        ("What is my name?", "Your name is Ann."),
        (
            "What do you know about this project?",
            "I know this: The project gives every voice conversation its own room.",
        ),
        ("What do you know about whales?", "I have nothing about whales in memory."),
    ],
)
def test_decide_answers_in_words(heard: str, answer: str) -> None:
    assert decide([SYSTEM, user(heard)], []) == Say(answer)


def test_question_about_instructions_finds_no_knowledge() -> None:
    bare = {"role": "system", "content": "You are the voice of this project."}
    assert decide([bare, user("What do you know about this project?")], []) == Say(
        "I have nothing about this project in memory."
    )


def test_fact_is_recalled_from_conversation() -> None:
    messages = [user("My favorite color is blue."), {"role": "assistant", "content": "ok"}]
    assert decide([*messages, user("What's my favorite color?")], []) == Say("Your favorite color is blue.")


def test_summary_has_the_newest_facts_of_conversation_and_earlier_summary() -> None:
    prompt = {"role": "system", "content": "Summarize the conversation for the assistant that continues it."}
    lines = (
        "summary: The user's dog is rex. The user's name is ann.\nuser: my name is Eve\nassistant: I see.\nuser: Hm."
    )
    assert decide([prompt, user(lines)], []) == Say("The user's dog is rex. The user's name is eve.")
    assert decide([prompt, user("user: Hello.")], []) == Say("They talked.")


def test_summary_of_the_assistant_is_recalled() -> None:
    summary = {"role": "assistant", "content": "Summary of this conversation so far:\nThe user's dog is rex."}
    assert decide([summary, user("What is my dog?")], []) == Say("Your dog is rex.")


def test_requested_faults_are_pause_and_refusal() -> None:
    assert decide([user("Please pause for 12 seconds.")], []) == Say("Before the pause. After the pause.", 12.0)
    assert decide([user("Please refuse with status 500.")], []) == Refuse(500)


def test_long_story_has_twelve_sentences() -> None:
    reply = decide([user("Tell me a long story.")], [])
    assert isinstance(reply, Say)
    assert reply.text.count("sentence number") == 12


def test_memory_tool_call_has_known_arguments_only() -> None:
    reply = decide([user("Remember that my dog is Rex.")], [tool("memory_insert", "label", "new_string")])
    assert reply == ToolCall("memory_insert", {"label": "human", "new_string": "The user's dog is rex."})


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        ('{"status": "OK"}', "Okay, I will remember that your dog is rex."),
        ('{"status": "Failed"}', "I could not save that to memory."),
    ],
)
def test_tool_result_decides_answer(result: str, answer: str) -> None:
    messages = [user("Remember that my dog is Rex."), {"role": "tool", "content": result}]
    assert decide(messages, [tool("memory_insert", "label")]) == Say(answer)


def test_letta_message_is_unwrapped_and_answered_through_send_message() -> None:
    wrapped = user(json.dumps({"type": "user_message", "message": "Can you hear me?"}))
    reply = decide([wrapped], [tool("send_message", "message", "thinking")])
    assert reply == ToolCall("send_message", {"message": "Yes, I can hear you.", "thinking": "scripted"})


def test_fact_to_remember_goes_to_memory_tool() -> None:
    asked = [SYSTEM, user("Remember that my favorite color is blue.")]
    called = ToolCall("remember", {"fact": "The user's favorite color is blue."})
    assert decide(asked, [tool("remember", "fact")]) == called
    done = [*asked, {"role": "assistant", "content": None}, {"role": "tool", "content": "Remembered."}]
    assert decide(done, [tool("remember", "fact")]) == Say("Okay, I will remember that your favorite color is blue.")
    failed = [*done[:-1], {"role": "tool", "content": "Error: not remembered, memory does not answer."}]
    assert decide(failed, [tool("remember", "fact")]) == Say("I could not save that to memory.")


def test_fact_to_forget_goes_to_memory_tool() -> None:
    forget = tool("forget", "fact", "everything")
    asked = [SYSTEM, user("Forget that my favorite color is blue.")]
    called = ToolCall("forget", {"fact": "The user's favorite color is blue.", "everything": False})
    assert decide(asked, [forget]) == called
    assert decide([user("Please forget everything.")], [forget]) == ToolCall("forget", {"fact": "", "everything": True})
    done = [*asked, {"role": "tool", "content": "Forgotten: 1 facts."}]
    assert decide(done, [forget]) == Say("Okay, I have forgotten it.")
    failed = [*asked, {"role": "tool", "content": "Error: not forgotten, memory does not answer. Say so."}]
    assert decide(failed, [forget]) == Say("I could not forget that.")
    assert decide(asked, []) == Say("You said: Forget that my favorite color is blue.")


def test_question_about_earlier_words_goes_to_search_tool() -> None:
    asked = [user("What did I say about the harbor?")]
    assert decide(asked, [tool("recall", "words")]) == ToolCall("recall", {"words": "the harbor"})
    found = "Data.\n2026-11-01 you: You said: harbor.\n2026-11-01 caller: My boat lies in the harbor."
    answered = [*asked, {"role": "tool", "content": found}]
    assert decide(answered, []) == Say("You said: My boat lies in the harbor.")
    assert decide([*asked, {"role": "tool", "content": "Nothing."}], []) == Say("I find nothing about that.")


def test_fact_without_request_stays_in_conversation() -> None:
    stated = user("My code word is walrus.")
    asked = user("What is my code word?")
    assert decide([SYSTEM, stated], [tool("remember", "fact")]) == Say("You said: My code word is walrus.")
    assert decide([SYSTEM, stated, asked], [tool("remember", "fact")]) == Say("Your code word is walrus.")
    assert decide([SYSTEM, asked], [tool("remember", "fact")]) == Say("I do not know your code word yet.")


@pytest.mark.parametrize("heard", ["Please use the slow lookup tool.", "Use the slow lookup"])
def test_spoken_tool_name_calls_tool(heard: str) -> None:
    assert decide([user(heard)], [tool("slow_lookup")]) == ToolCall("slow_lookup", {})
    assert decide([user(heard)], [tool("other")]) == Say(f"You said: {heard}")
