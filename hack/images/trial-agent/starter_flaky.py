"""A starter whose preparation fails twice, as if the network came late."""

from pathlib import Path

from livekit.agents import JobContext, JobProcess

TRIES = Path("/tmp/starter-tries")  # noqa: S108 - shared by the processes of one pod


def prewarm(_: JobProcess) -> None:
    """Fail twice."""
    tries = len(TRIES.read_text()) if TRIES.exists() else 0
    TRIES.write_text("." * (tries + 1))
    if tries < 2:  # noqa: PLR2004 - twice
        raise ConnectionError("the model server of the starter does not answer")


async def entrypoint(ctx: JobContext) -> None:
    """Join."""
    await ctx.connect()
