"""Rules of the scripted model: pure functions from the messages of a request to a reply."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

Message = dict[str, Any]

FACT: Final = re.compile(r"\bmy ([a-z ]{2,40}?) (?:is|are) ([a-z0-9' -]{1,60})", re.IGNORECASE)
REMEMBER: Final = re.compile(r"\bremember(?:ed)?\b", re.IGNORECASE)
"""Speech recognition sometimes confuses the two words."""
SUMMARIZE: Final = re.compile(r"^summarize the conversation", re.IGNORECASE)
SUMMARIZED: Final = re.compile(r"\b(?:my|user's) ([a-z ]{2,40}?) (?:is|are) ([a-z0-9' -]{1,60})", re.IGNORECASE)
"""A fact in a conversation to summarize, or in its earlier summary."""
FORGET: Final = re.compile(r"\bforget\b( everything\b)?", re.IGNORECASE)
RECALL: Final = re.compile(r"what did i say about ([a-z0-9' -]{1,60})", re.IGNORECASE)
USE_TOOL: Final = re.compile(r"\buse the ([a-z_ ]{2,40}?)(?: tool)?[.!]?$", re.IGNORECASE)
WHAT_IS_MY: Final = re.compile(r"what(?:'s| is| are) my ([a-z ]+)", re.IGNORECASE)
ABOUT: Final = re.compile(r"do you know about (.+?)[?.!]*$", re.IGNORECASE)
LONG_STORY: Final = " ".join(f"This is sentence number {n} of a long story." for n in range(1, 13))
FIXED: Final = (
    (re.compile(r"can you hear me", re.IGNORECASE), "Yes, I can hear you."),
    (re.compile(r"long story", re.IGNORECASE), LONG_STORY),
)
PAUSE: Final = re.compile(r"pause for ([0-9]{1,2}) seconds", re.IGNORECASE)
REFUSE: Final = re.compile(r"refuse with status ([45][0-9]{2})", re.IGNORECASE)
"""Requests for a fault of the model, so that a test or a demonstration can see the assistant's answer to it."""
REMARK: Final = re.compile(r"^\S+ caller: (.+)$", re.MULTILINE)
"""Line of a caller in the result of the tool `recall`."""
FAILED: Final = re.compile(r'"status":\s*"(?:Failed|error)"|unexpected keyword|Error')
BLOCK_VALUE: Final = re.compile(r"<value>(.*?)</value>", re.DOTALL)
SENTENCE: Final = re.compile(r"[^.!?\n]+[.!?]?")
EVENTS: Final = ("heartbeat", "login", "system_alert")
FILLER: Final = frozenset({"this", "that", "the", "your", "our", "my", "about"})


@dataclass(frozen=True)
class Say:
    """A reply in words, with a pause after its first sentence."""

    text: str
    pause_seconds: float = 0.0


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Refuse:
    """The error of a provider."""

    status: int


Reply = Say | ToolCall | Refuse


def decide(messages: Sequence[Message], tools: Sequence[dict[str, Any]]) -> Reply:
    """Return the reply to a conversation, given the tools that may be called."""
    offered = {tool.get("function", tool).get("name", ""): tool.get("function", tool) for tool in tools}
    if SUMMARIZE.search(text_of(messages[0])):
        return Say(_summarize(text_of(messages[-1])))
    reply = _decide(messages, offered)
    if isinstance(reply, Say) and "send_message" in offered:
        return ToolCall("send_message", _accepted_arguments(offered["send_message"], {"message": reply.text}))
    return reply


def _decide(messages: Sequence[Message], tools: dict[str, dict[str, Any]]) -> Reply:
    users = [m for m in messages if m.get("role") == "user" and not _is_event(m)]
    heard = normalize(_unwrap(text_of(users[-1]))) if users else ""
    if messages[-1].get("role") == "tool" or _is_event(messages[-1]):
        return Say(_after_tool(messages, heard))
    if memory := _use_memory(heard, tools):
        return memory
    if (request := USE_TOOL.search(heard)) and (name := _tool_named(request[1], tools)):
        return ToolCall(name, {})
    if asked := WHAT_IS_MY.search(heard):
        return Say(_recall(asked[1].strip().lower(), messages))
    if about := ABOUT.search(heard):
        return Say(_known_about(about[1], messages))
    return _fault(heard) or _fixed(heard)


def _fault(heard: str) -> Reply | None:
    if pause := PAUSE.search(heard):
        return Say("Before the pause. After the pause.", float(pause[1]))
    refused = REFUSE.search(heard)
    return Refuse(int(refused[1])) if refused else None


def _fixed(heard: str) -> Say:
    fixed = next((answer for asked, answer in FIXED if asked.search(heard)), "")
    return Say(fixed or f"You said: {heard}")


def _use_memory(heard: str, tools: dict[str, dict[str, Any]]) -> Reply | None:
    """Return the reply to a request to forget, find or remember something, if these words are one."""
    if (forget := FORGET.search(heard)) and "forget" in tools:
        return _forget(heard, bool(forget[1]), tools["forget"])
    if (asked := RECALL.search(heard)) and "recall" in tools:
        return ToolCall("recall", _accepted_arguments(tools["recall"], {"words": asked[1].strip()}))
    fact = FACT.search(heard)
    return _remember(fact, tools) if fact and REMEMBER.search(heard) else None


def _remember(fact: re.Match[str], tools: dict[str, dict[str, Any]]) -> Reply:
    """Call a memory tool if there is one, else only confirm: the conversation itself keeps the fact."""
    key, value = _pair(fact)
    sentence = f"The user's {key} is {value}."
    if "remember" in tools:
        return ToolCall("remember", _accepted_arguments(tools["remember"], {"fact": sentence}))
    if "memory_insert" in tools:
        given = {"label": "human", "new_string": sentence, "new_str": sentence, "insert_line": -1}
        return ToolCall("memory_insert", _accepted_arguments(tools["memory_insert"], given))
    if "core_memory_append" in tools:
        given = {"label": "human", "content": sentence}
        return ToolCall("core_memory_append", _accepted_arguments(tools["core_memory_append"], given))
    return Say(f"Okay, I will remember that your {key} is {value}.")


def _forget(heard: str, everything: bool, tool: dict[str, Any]) -> Reply:
    """Call the tool for one fact in the words in which `_remember` stores it, or for all facts."""
    fact = FACT.search(heard)
    sentence = "The user's {} is {}.".format(*_pair(fact)) if fact else ""
    return ToolCall("forget", _accepted_arguments(tool, {"fact": sentence, "everything": everything}))


def _tool_named(spoken: str, tools: dict[str, dict[str, Any]]) -> str:
    """Return the tool with this spoken name, or an empty string."""
    names = {name.replace("_", " "): name for name in tools}
    said = spoken.replace("_", " ").lower()
    return names.get(said) or names.get(f"{said} tool", "")


def _after_tool(messages: Sequence[Message], heard: str) -> str:
    results = [text_of(m) for m in messages if m.get("role") == "tool"]
    has_failed = bool(results and FAILED.search(results[-1]))
    if RECALL.search(heard):
        found = REMARK.search(results[-1]) if results else None
        return f"You said: {found[1]}" if found else "I find nothing about that."
    if FORGET.search(heard):
        return "I could not forget that." if has_failed else "Okay, I have forgotten it."
    if has_failed:
        return "I could not save that to memory."
    fact = FACT.search(heard)
    if fact is None:
        return "Done."
    return "Okay, I will remember that your {} is {}.".format(*_pair(fact))


def _recall(key: str, messages: Sequence[Message]) -> str:
    conversation = "\n".join(normalize(text_of(m)) for m in messages)
    found = re.findall(rf"(?:my|user's|your) {re.escape(key)} (?:is|are) ([a-z0-9' -]+)", conversation, re.IGNORECASE)
    return f"Your {key} is {found[-1].strip()}." if found else f"I do not know your {key} yet."


def _summarize(conversation: str) -> str:
    """Return the newest value of each fact."""
    lines = map(normalize, conversation.splitlines())
    facts = dict(_pair(fact) for line in lines for fact in SUMMARIZED.finditer(line))
    return " ".join(f"The user's {key} is {value}." for key, value in facts.items()) or "They talked."


def _known_about(topic: str, messages: Sequence[Message]) -> str:
    """Answer with a sentence of a memory block that has a word of the topic; instructions are not knowledge."""
    system = "\n".join(text_of(m) for m in messages if m.get("role") in ("system", "developer"))
    words = {w for w in re.findall(r"[a-z]+", topic.lower()) if w not in FILLER}
    for value in BLOCK_VALUE.findall(system):
        for sentence in SENTENCE.findall(value):
            if words & set(re.findall(r"[a-z]+", sentence.lower())):
                return f"I know this: {sentence.strip()}"
    return f"I have nothing about {topic} in memory."


def _pair(fact: re.Match[str]) -> tuple[str, str]:
    return fact[1].lower(), fact[2].strip(" .").lower()


def _accepted_arguments(tool: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the tool's schema: an unknown argument makes the call fail."""
    properties = (tool.get("parameters") or {}).get("properties", {})
    extra = {"thinking": "scripted", "inner_thoughts": "scripted", "request_heartbeat": True}
    return {name: value for name, value in (given | extra).items() if name in properties}


def text_of(message: Message) -> str:
    """Return the text of a message."""
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def normalize(text: str) -> str:
    """Use American spelling and single spaces: the speech recognizer mixes spellings."""
    text = re.sub(r"colour", "color", re.sub(r"favourite", "favorite", text, flags=re.I), flags=re.I)
    return re.sub(r"\s+", " ", text).strip()


def _unwrap(text: str) -> str:
    """Unwrap a user's text from Letta's JSON `{"type": "user_message", "message": ...}`."""
    wrapped = _parse_object(text)
    return str(wrapped.get("message", text)) if wrapped else text


def _is_event(message: Message) -> bool:
    return _parse_object(text_of(message)).get("type") in EVENTS


def _parse_object(text: str) -> dict[str, Any]:
    """Parse a JSON object; return an empty one for any other text."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
