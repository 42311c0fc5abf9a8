"""Memory in the model's context: blocks in the instructions, and the `remember` tool."""

from collections.abc import Sequence
from typing import Any, Final

import aiohttp
from livekit.agents import ToolError, function_tool, llm

from voicesession_agent.job.supervisor_client import SupervisorClient
from voicesession_agent.memory.backend import Block

REMEMBER_DESCRIPTION: Final = (
    "Write a fact into your long-term memory, so that you know it in later conversations too. "
    "Call it when somebody asks you to remember something."
)


def render(instructions: str, blocks: Sequence[Block]) -> str:
    """Return the instructions, followed by one `<memory_block>` for each block that has a value."""
    rendered = [_render_block(block) for block in blocks if block.value.strip()]
    if not rendered:
        return instructions
    return "\n\n".join((instructions, "What you remember:", *rendered))


def _render_block(block: Block) -> str:
    head = f'<memory_block label="{block.label}">'
    about = (f"<description>{block.description}</description>",) if block.description else ()
    return "\n".join((head, *about, f"<value>{block.value}</value>", "</memory_block>"))


def remember_tool(client: SupervisorClient) -> "llm.FunctionTool[Any, Any]":
    """Return the tool that writes a fact into memory through the supervisor."""

    # livekit-agents takes the description of `fact` for the model from this docstring
    @function_tool(name="remember", description=REMEMBER_DESCRIPTION)
    async def remember(fact: str) -> str:
        """Write a fact into memory.

        Args:
            fact: One complete sentence in the third person, e.g. "The user's favorite color is blue."
        """
        try:
            fault = await client.remember(fact)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ToolError("Error: not remembered, memory does not answer.") from error
        if fault:
            raise ToolError(f"Error: not remembered, {fault}.")
        return "Remembered."

    return remember
