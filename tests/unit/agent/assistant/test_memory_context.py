"""Memory blocks in the instructions, and the tool that writes a fact into memory."""

from typing import Any

import pytest
from livekit.agents import ToolError, llm
from voicesession_agent.assistant.memory_context import remember_tool, render
from voicesession_agent.memory.backend import Block


class FakeClient:
    """A supervisor that answers `remember`."""

    def __init__(self) -> None:
        self.fault = ""
        self.unreachable = False
        self.facts: list[str] = []

    async def remember(self, fact: str) -> str:
        if self.unreachable:
            raise TimeoutError
        self.facts.append(fact)
        return self.fault


def test_render_without_values_returns_instructions() -> None:
    assert render("Be brief.", ()) == "Be brief."
    assert render("Be brief.", (Block("human", "  "),)) == "Be brief."


def test_render_appends_label_description_and_value_of_blocks() -> None:
    text = render("Be brief.", (Block("human", "Likes blue.", "About the human."), Block("project", "P.")))
    assert text.startswith("Be brief.")
    assert '<memory_block label="human">' in text
    assert "<description>About the human.</description>" in text
    assert "<value>Likes blue.</value>" in text
    assert text.count("<memory_block") == 2
    assert text.count("<description>") == 1


async def test_remember_tool_reports_success_and_failures_to_model() -> None:
    client: Any = FakeClient()
    tool = remember_tool(client)
    assert await tool(fact="The user's dog is Rex.") == "Remembered."
    assert client.facts == ["The user's dog is Rex."]
    client.fault = "memory is full"
    with pytest.raises(ToolError, match="Error: not remembered, memory is full"):
        await tool(fact="x")
    client.unreachable = True
    with pytest.raises(ToolError, match="memory does not answer"):
        await tool(fact="x")


def test_remember_tool_schema_describes_fact() -> None:
    client: Any = FakeClient()
    schema = llm.utils.build_legacy_openai_schema(remember_tool(client))
    function = schema["function"]
    assert function["description"].startswith("Write a fact into your long-term memory")
    assert list(function["parameters"]["properties"]) == ["fact"]
    assert "third person" in function["parameters"]["properties"]["fact"]["description"]
