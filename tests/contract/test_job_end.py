"""The end of jobs of a real agent pod's processes, as its control port and its programs show it; LiveKit is absent."""

import asyncio
import base64
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_common.errors import RetryableError
from voicesession_operator.clients.agent_pod import AgentPodClient, public_key_of
from voicesession_operator.domain.observed import AgentPodState

DEADLINE = 240.0
PR_SET_CHILD_SUBREAPER = 36
"""linux/prctl.h: orphans become children of the pod's main process, as they do of PID 1."""
ADMIN = "admin-token"
SLOW_SECONDS = 5
"""Longer than the time of a job that does not answer its dismissal."""
AGENT = f"""
import asyncio, os, subprocess
from pathlib import Path
from unittest.mock import MagicMock
from livekit import api, rtc
from livekit.agents import AgentServer, JobContext
from livekit.api import DeleteRoomRequest, RoomParticipantIdentity

HERE = Path(os.environ["NOTED_HERE"])
server = AgentServer()


async def connect(room, *_, **__):
    room._local_participant = MagicMock(sid="PA_1", identity="agent")


rtc.Room.connect = connect


def note(ctx, text):
    with (HERE / "notes").open("a") as notes:
        notes.write(f"{{ctx.job.id}} {{text}}\\n")


def start_programs():
    sleep = ["sleep", "3600"]
    subprocess.Popen(sleep)
    subprocess.Popen(sleep, start_new_session=True)
    subprocess.run(["sh", "-c", "setsid sleep 3600 & sleep 3600 & true"], check=True)
    subprocess.Popen(["true"])


async def session_over(ctx):
    note(ctx, "session end")


async def leave_with(room, path):
    while not path.exists():
        await asyncio.sleep(0.05)
    room.emit("disconnected", rtc.DisconnectReason.DUPLICATE_IDENTITY)


@server.rtc_session(on_session_end=session_over)
async def entry(ctx: JobContext):
    async def slow():
        for second in range({SLOW_SECONDS}):
            note(ctx, f"callback {{second}}")
            await asyncio.sleep(1)
        note(ctx, "callback done")

    async def fail():
        raise ValueError

    async def delete():
        await ctx.delete_room()

    for callback in (fail, slow, delete):
        ctx.add_shutdown_callback(callback)
    await ctx.connect()
    note(ctx, "joined")
    start_programs()
    if HERE.joinpath("crash").exists():
        raise RuntimeError
    (HERE / ctx.job.id).touch()
    if ctx.job.id == "job-1":
        ctx.watch = asyncio.create_task(leave_with(ctx.room, HERE / "job-2"))
    if HERE.joinpath("shut down").exists():
        ctx.shutdown("goodbye")
    elif HERE.joinpath("delete").exists():
        person = RoomParticipantIdentity(room=ctx.room.name, identity="alice")
        await ctx.api.room.remove_participant(person)
        async with api.LiveKitAPI() as own:
            await own.room.delete_room(DeleteRoomRequest(room=ctx.room.name))
"""


class Pod:
    """The processes of one agent pod, whose operator is the test."""

    def __init__(self, folder: Path, livekit: str) -> None:
        self.folder, self.livekit = folder, livekit
        key = Ed25519PrivateKey.generate()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        env = {
            "VOICESESSION_POD_UID": "pod-1",
            "VOICESESSION_CONTROL_PUBLIC_KEY": base64.b64encode(public_key_of(key)).decode(),
            "VOICESESSION_CONTROL_PORT": str(port),
            "VOICESESSION_METRICS_PORT": "0",
            "VOICESESSION_JOB_SOCKET": str(folder / "job.sock"),
            "VOICESESSION_SHUTDOWN_SECONDS": "120",
            "VOICESESSION_AGENT": '{"name": "own", "entrypoint": "own_agent:entry"}',
            "LIVEKIT_URL": livekit,
            "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0",
            "NOTED_HERE": str(folder),
            "PYTHONPATH": str(folder),
        }
        self.client = AgentPodClient(key, time.time, port, request_seconds=DEADLINE)
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "voicesession_agent"],
                env=os.environ | env,
                stdout=log,
                stderr=log,
                preexec_fn=adopt_orphans,  # noqa: PLW1509 - the test starts no thread that holds a lock
            )

    async def bind(self, epoch: int = 1) -> None:
        """Send the desired state once the pod answers."""
        room = {"name": "vs-1", "url": self.livekit}
        body = {"sessionUID": "u1", "epoch": epoch, "room": room, "token": "t", "adminToken": ADMIN, "prewarm": False}
        async with asyncio.timeout(DEADLINE):
            while True:
                with suppress(RetryableError):
                    return await self.client.put_state("127.0.0.1", "pod-1", body)
                await asyncio.sleep(0.1)

    async def state(self, condition: Callable[[AgentPodState], bool]) -> AgentPodState:
        """Return the first state that meets the condition."""
        async with asyncio.timeout(DEADLINE):
            while True:
                state = await self.client.state("127.0.0.1", "pod-1")
                if state is not None and condition(state):
                    return state
                await asyncio.sleep(0.05)

    async def noted(self, text: str) -> list[str]:
        """Return all notes of the jobs once they contain this one."""
        async with asyncio.timeout(DEADLINE):
            while text not in self.notes():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)
        return self.notes()

    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    async def without_programs(self) -> None:
        """Wait until no program of an agent is left, not even as a zombie."""
        async with asyncio.timeout(DEADLINE):
            while self.programs():  # noqa: ASYNC110 - no process tells the test
                await asyncio.sleep(0.05)

    def programs(self) -> list[str]:
        """Return the names and states of the agents' programs among the descendants of the pod."""
        found = dict(processes())
        return [
            f"{name} {state}"
            for name, state, parent in found.values()
            if name in ("sleep", "sh", "true") and is_below(parent, self.process.pid, found)
        ]

    async def exited(self) -> int:
        """Wait until the main process has exited and return its code."""
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), DEADLINE)


def adopt_orphans() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def processes() -> Iterator[tuple[int, tuple[str, str, int]]]:
    """Yield process id, name, state and parent of all processes."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            before, _, after = (folder / "stat").read_text().rpartition(")")
            state, parent = after.split()[:2]
            yield int(folder.name), (before.partition("(")[2], state, int(parent))


def is_below(pid: int, ancestor: int, found: dict[int, tuple[str, str, int]]) -> bool:
    while pid != ancestor and pid in found:
        pid = found[pid][2]
    return pid == ancestor


@pytest.fixture
async def calls() -> AsyncIterator[list[tuple[str, str]]]:
    """Yield the address of a LiveKit API and then its calls: the names of the methods with their credentials."""
    received: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        received.append((request.path.rpartition("/")[2], request.headers.get("Authorization", "")))
        return web.Response(content_type="application/protobuf")

    app = web.Application()
    app.router.add_post("/twirp/{method:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    received.append(("address", f"ws://127.0.0.1:{runner.addresses[0][1]}"))
    yield received
    await runner.cleanup()


@pytest.fixture
async def pod(tmp_path: Path, calls: list[tuple[str, str]]) -> AsyncIterator[Pod]:
    (tmp_path / "own_agent.py").write_text(AGENT)
    made = Pod(tmp_path, calls.pop()[1])
    yield made
    made.process.kill()
    made.process.wait()
    await made.client.close()
    for pid, (name, _, _) in list(processes()):
        if name == "sleep" and has_noted(pid, tmp_path):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def has_noted(pid: int, folder: Path) -> bool:
    """Return whether the process was started by a job that notes into the folder."""
    with suppress(OSError):
        return f"NOTED_HERE={folder}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


def expected(job: str) -> list[str]:
    callbacks = [f"{job} callback {second}" for second in range(SLOW_SECONDS)]
    return [f"{job} joined", f"{job} session end", *callbacks, f"{job} callback done"]


async def test_shutdown_by_agent_ends_session_after_hooks_and_programs(pod: Pod) -> None:
    (pod.folder / "shut down").touch()
    await pod.bind()
    state = await pod.state(lambda state: state.ended_epoch > 0)
    assert (state.state, state.ended_epoch, state.epoch) == ("Ended", 1, 1)
    assert await pod.noted("job-1 callback done") == expected("job-1")
    await pod.without_programs()
    assert (await pod.state(lambda _: True)).job_restarts == 0
    pod.process.terminate()
    assert await pod.exited() == 0


async def test_deleted_room_ends_session_and_room_token_serves_the_rest(pod: Pod, calls: list[tuple[str, str]]) -> None:
    (pod.folder / "delete").touch()
    await pod.bind()
    await pod.state(lambda state: state.ended_epoch == 1)
    assert calls == [("RemoveParticipant", f"Bearer {ADMIN}")], "the operator deletes the room"
    assert await pod.noted("job-1 callback done") == expected("job-1")


async def test_reset_starts_next_job_while_callbacks_of_old_job_run(pod: Pod) -> None:
    await pod.bind()
    await pod.state(lambda state: bool(state.participant_sid) and (pod.folder / "job-1").exists())
    await pod.bind(epoch=2)
    state = await pod.state(lambda state: state.job_epoch == 2 and bool(state.participant_sid))
    await pod.noted("job-1 callback done")
    assert pod.notes() == [expected("job-1")[0], "job-2 joined", *expected("job-1")[1:]]
    assert state.ended_epoch == 0, "a callback of an old job deleted the room"
    pod.process.terminate()
    assert await pod.exited() == 0
    assert pod.notes()[-len(expected("job-2")) + 1 :] == expected("job-2")[1:], "callbacks run after SIGTERM too"


async def test_crash_of_agent_starts_next_job(pod: Pod) -> None:
    (pod.folder / "crash").touch()
    await pod.bind()
    await pod.state(lambda state: state.job_restarts > 0)
    (pod.folder / "crash").unlink()
    state = await pod.state(lambda state: bool(state.participant_sid))
    assert (state.ended_epoch, state.state) == (0, "Bound")
