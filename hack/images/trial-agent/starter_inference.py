"""A starter with a plug-in that runs its model in livekit-agents' inference process."""

import os
from typing import ClassVar

from livekit.agents import JobContext
from livekit.agents.inference_runner import _InferenceRunner


class Reverser(_InferenceRunner):
    """A model that reverses a text."""

    INFERENCE_METHOD: ClassVar[str] = "starter_reverser"

    def initialize(self) -> None:
        """Load nothing."""

    def run(self, data: bytes) -> bytes:
        """Return the reversed text and the process."""
        return data[::-1] + f" {os.getpid()}".encode()


_InferenceRunner.register_runner(Reverser)


async def entrypoint(ctx: JobContext) -> None:
    """Print the answer of the model."""
    await ctx.connect()
    answer = await ctx.inference_executor.do_inference("starter_reverser", b"retrats")
    text, process = (answer or b"").decode().split()
    print(f"{text} inferred in another process: {int(process) != os.getpid()}", flush=True)
