"""A language model of livekit-agents that answers every turn with the call of one tool."""

from typing import Any

from livekit.agents import APIConnectOptions, llm


class ToolCallingModel(llm.LLM[Any]):
    """A model that only calls the tool of this name, without arguments."""

    def __init__(self, tool: str) -> None:
        super().__init__()
        self.tool = tool

    def chat(self, *, chat_ctx: llm.ChatContext, tools: Any = None, conn_options: Any = None, **_: Any) -> Any:
        return ToolCallStream(
            self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options or APIConnectOptions(), tool=self.tool
        )


class ToolCallStream(llm.LLMStream):
    """One answer: the call of the tool."""

    def __init__(self, model: ToolCallingModel, *, tool: str, **options: Any) -> None:
        super().__init__(model, **options)
        self._tool = tool

    async def _run(self) -> None:
        call = llm.FunctionToolCall(name=self._tool, arguments="{}", call_id="call_1")
        delta = llm.ChoiceDelta(role="assistant", tool_calls=[call])
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))
