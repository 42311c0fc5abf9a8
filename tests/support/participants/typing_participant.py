"""A human that plays no audio: types messages, presses the keys of a phone, and reads the agent's written answers."""

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from livekit import rtc

from tests.support.cluster.kubectl import Session
from tests.support.cluster.rooms import LiveKit
from tests.support.participants.silent_participant import Role
from tests.support.polling import until

JOIN_SECONDS = 30
LEAVE_SECONDS = 10
KEY_CODES = {"*": 10, "#": 11}
"""Codes of the keys that are no digits (RFC 4733, table 3)."""


class TypingParticipant:
    """A participant that subscribes to no track, in the room from construction until leave()."""

    def __init__(self, livekit: LiveKit, session: Session, identity: str) -> None:
        self._output = tempfile.NamedTemporaryFile()  # noqa: SIM115  open as long as the process runs
        self._identity = identity
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.participants.typing_participant"],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._send(url=livekit.url, token=Role().token(livekit, session.room, identity))
        until(self._is_in_room, f"{identity} in the room", 2 * JOIN_SECONDS)

    def type(self, text: str) -> None:
        """Send a typed message."""
        self._send(text=text)

    def press(self, keys: str) -> None:
        """Press keys of a phone."""
        self._send(keys=keys)

    def wait_for_text(self, text: str, seconds: float) -> None:
        """Wait until a written answer of the agent contains the text."""
        until(lambda: any(text in line for line in self._lines()), f"{text!r} for {self._identity}", seconds)

    def leave(self) -> None:
        """Leave the room; do nothing if already outside."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.wait(LEAVE_SECONDS)
        self._output.close()

    def _is_in_room(self) -> bool:
        assert self._process.poll() is None, self._lines()
        return self._lines()[:1] == ["in"]

    def _send(self, **command: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _lines(self) -> list[str]:
        return Path(self._output.name).read_text().splitlines()


async def _run() -> None:
    """Obey the commands of standard input until its end."""
    room, reads = rtc.Room(), set[asyncio.Task[None]]()

    async def print_text(reader: rtc.TextStreamReader) -> None:
        print(json.dumps(await reader.read_all()), flush=True)

    def on_text(reader: rtc.TextStreamReader, _: str) -> None:
        task = asyncio.create_task(print_text(reader))
        reads.add(task)
        task.add_done_callback(reads.discard)

    room.register_text_stream_handler("lk.transcription", on_text)
    first = json.loads(await asyncio.to_thread(sys.stdin.readline))
    options = rtc.RoomOptions(auto_subscribe=False)
    await asyncio.wait_for(room.connect(first["url"], first["token"], options), JOIN_SECONDS)
    print("in", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        if "text" in command:
            await room.local_participant.send_text(command["text"], topic="lk.chat")
        for key in command.get("keys", ""):
            await room.local_participant.publish_dtmf(code=KEY_CODES[key] if key in KEY_CODES else int(key), digit=key)
    await room.disconnect()


if __name__ == "__main__":
    asyncio.run(_run())
