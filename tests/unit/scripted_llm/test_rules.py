"""The rules of the scripted model."""

import json
from typing import Any

import pytest
from rules import Call, Say, decide

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
def test_says(heard: str, answer: str) -> None:
    assert decide([SYSTEM, user(heard)], []) == Say(answer)


def test_instructions_are_not_knowledge() -> None:
    bare = {"role": "system", "content": "You are the voice of this project."}
    assert decide([bare, user("What do you know about this project?")], []) == Say(
        "I have nothing about this project in memory."
    )


def test_recalls_from_the_conversation() -> None:
    messages = [user("My favorite color is blue."), {"role": "assistant", "content": "ok"}]
    assert decide([*messages, user("What's my favorite color?")], []) == Say("Your favorite color is blue.")


def test_tells_a_long_story() -> None:
    reply = decide([user("Tell me a long story.")], [])
    assert isinstance(reply, Say)
    assert reply.text.count("sentence number") == 12


def test_writes_memory_with_known_arguments_only() -> None:
    reply = decide([user("Remember that my dog is Rex.")], [tool("memory_insert", "label", "new_string")])
    assert reply == Call("memory_insert", {"label": "human", "new_string": "The user's dog is rex."})


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        ('{"status": "OK"}', "Okay, I will remember that your dog is rex."),
        ('{"status": "Failed"}', "I could not save that to memory."),
    ],
)
def test_reads_the_tools_result(result: str, answer: str) -> None:
    messages = [user("Remember that my dog is Rex."), {"role": "tool", "content": result}]
    assert decide(messages, [tool("memory_insert", "label")]) == Say(answer)


def test_speaks_through_send_message_and_reads_wrapped_input() -> None:
    wrapped = user(json.dumps({"type": "user_message", "message": "Can you hear me?"}))
    reply = decide([wrapped], [tool("send_message", "message", "thinking")])
    assert reply == Call("send_message", {"message": "Yes, I can hear you.", "thinking": "scripted"})


def test_what_is_to_be_remembered_goes_to_the_tool_that_can() -> None:
    asked = [SYSTEM, user("Remember that my favorite color is blue.")]
    called = Call("remember", {"fact": "The user's favorite color is blue."})
    assert decide(asked, [tool("remember", "fact")]) == called
    done = [*asked, {"role": "assistant", "content": None}, {"role": "tool", "content": "Remembered."}]
    assert decide(done, [tool("remember", "fact")]) == Say("Okay, I will remember that your favorite color is blue.")
    failed = [*done[:-1], {"role": "tool", "content": "Error: not remembered, memory does not answer."}]
    assert decide(failed, [tool("remember", "fact")]) == Say("I could not save that to memory.")


def test_what_nobody_asked_to_remember_stays_in_the_conversation() -> None:
    told = user("My code word is walrus.")
    asked = user("What is my code word?")
    assert decide([SYSTEM, told], [tool("remember", "fact")]) == Say("You said: My code word is walrus.")
    assert decide([SYSTEM, told, asked], [tool("remember", "fact")]) == Say("Your code word is walrus.")
    assert decide([SYSTEM, asked], [tool("remember", "fact")]) == Say("I do not know your code word yet.")


@pytest.mark.parametrize("heard", ["Please use the slow lookup tool.", "Use the slow lookup"])
def test_a_tool_is_used_by_its_name(heard: str) -> None:
    assert decide([user(heard)], [tool("slow_lookup")]) == Call("slow_lookup", {})
    assert decide([user(heard)], [tool("other")]) == Say(f"You said: {heard}")
