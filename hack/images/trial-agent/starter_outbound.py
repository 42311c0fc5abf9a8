"""A starter for outbound calls: it waits for its callee, uses the room service, and deletes the room at the end."""

import asyncio

from livekit import api, rtc
from livekit.agents import AgentServer, JobContext, cli

server = AgentServer()


@server.rtc_session(agent_name="starter")
async def call(ctx: JobContext) -> None:
    """Note the customer at the callee, and hang up when the callee has left."""
    has_left = asyncio.Event()

    def on_disconnected(_: rtc.RemoteParticipant) -> None:
        has_left.set()

    ctx.room.on("participant_disconnected", on_disconnected)
    await ctx.connect()
    callee = await ctx.wait_for_participant(identity="alice")
    rooms, name = ctx.api.room, ctx.room.name
    update = api.UpdateParticipantRequest(room=name, identity=callee.identity, metadata=ctx.job.metadata)
    await rooms.update_participant(update)
    await rooms.send_data(api.SendDataRequest(room=name, data=b"connected", topic="status"))
    listed = await rooms.list_participants(api.ListParticipantsRequest(room=name))
    noted = [participant.metadata for participant in listed.participants if participant.identity == "alice"]
    print(f"outbound: callee is {noted}", flush=True)
    await has_left.wait()
    await ctx.delete_room()


if __name__ == "__main__":
    cli.run_app(server)
