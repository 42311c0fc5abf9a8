"""The model's context: memory blocks in the instructions, the `remember` tool, and the limit of its length."""

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

CONTEXT_TOKENS: Final = 6000
"""Longest context, so that a model of 8,000 tokens has room for tools and its answer."""
LEAST_TOKENS: Final = 1000
"""Tokens of the conversation that are kept whatever the length of the instructions."""
BYTES_PER_TOKEN: Final = 3
"""UTF-8 bytes of a token: 4 in English text, fewer in other languages and in JSON."""
ITEM_TOKENS: Final = 8
"""Tokens around each item: its role and its separators."""


def shorten(context: llm.ChatContext) -> llm.ChatContext:
    """Return the context with its instructions and as many of the newest items as CONTEXT_TOKENS allow.

    The last item always stays, and no output of a tool stays without its call.
    """
    instructions = [item for item in context.items if item.type == "message" and item.role in ("system", "developer")]
    budget = max(CONTEXT_TOKENS - sum(map(_tokens, instructions)), LEAST_TOKENS)
    for kept, item in enumerate(reversed(context.items)):
        budget -= _tokens(item)
        if budget < 0 and kept:
            return context.copy().truncate(max_items=kept)
    return context


def _tokens(item: llm.ChatItem) -> int:
    """Estimate the tokens of an item."""
    text = (item.text_content or "") if item.type == "message" else ""
    if item.type == "function_call":
        text = item.arguments
    elif item.type == "function_call_output":
        text = item.output
    return ITEM_TOKENS + len(text.encode()) // BYTES_PER_TOKEN


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
