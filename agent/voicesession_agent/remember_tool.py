"""The tool with which the assistant writes into memory what somebody asks it to remember."""

from typing import Any, Final

import aiohttp
from livekit.agents import ToolError, function_tool, llm

from voicesession_agent.link import JobLink

ABOUT: Final = (
    "Write a fact into your long-term memory, so that you know it in later conversations too. "
    "Call it when somebody asks you to remember something."
)


def remember_tool(link: JobLink) -> "llm.FunctionTool[Any, Any]":
    @function_tool(name="remember", description=ABOUT)
    async def remember(fact: str) -> str:
        """
        Args:
            fact: One complete sentence in the third person, e.g. "The user's favorite color is blue."
        """
        try:
            fault = await link.remember(fact)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ToolError("Error: not remembered, memory does not answer.") from error
        if fault:
            raise ToolError(f"Error: not remembered, {fault}.")
        return "Remembered."

    return remember
