"""A starter with an AgentServer and its hooks; it prints what its job knows."""

import json
import os
from pathlib import Path

from livekit import rtc
from livekit.agents import AgentServer, JobContext, JobProcess, JobRequest, cli

server = AgentServer()


def setup(proc: JobProcess) -> None:
    """Cache a file, as libraries do with models."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    (cache / "starter").mkdir(parents=True, exist_ok=True)
    proc.userdata["home"] = str(Path.home())


server.setup_fnc = setup


async def on_request(request: JobRequest) -> None:
    """Accept every job."""
    print(f"starter is asked for {request.agent_name}", flush=True)
    await request.accept(name="Starter")


@server.rtc_session(agent_name="starter", on_request=on_request)
async def my_agent(ctx: JobContext) -> None:
    """Print the job, and each participant."""

    async def on_participant(ctx: JobContext, participant: rtc.RemoteParticipant) -> None:
        print(f"starter serves {participant.identity} for {ctx.job.metadata}", flush=True)

    ctx.add_participant_entrypoint(on_participant)
    await ctx.connect()
    job = ctx.job
    facts = {
        "agent": job.agent_name,
        "metadata": job.metadata,
        "room": job.room.name,
        "sid": job.room.sid,
        "home": ctx.proc.userdata["home"],
        "readable": json.loads(job.room.metadata) == json.loads(ctx.room.metadata),
    }
    print("starter job " + json.dumps(facts), flush=True)


if __name__ == "__main__":
    cli.run_app(server)
