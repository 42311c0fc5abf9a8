"""Participants without media and with any kind of token: recorders, SIP callers, hidden observers."""

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Literal

from livekit import api, rtc

from tests.support.cluster.rooms import LiveKit

Kind = Literal["standard", "egress", "ingress", "sip", "agent"]
LEAVE_SECONDS = 10


@dataclass(frozen=True)
class Role:
    """Kind, grants and attributes of a participant's token."""

    kind: Kind = "standard"
    hidden: bool = False
    recorder: bool = False
    agent: bool = False
    can_publish: bool = True
    attributes: dict[str, str] = field(default_factory=dict)

    def token(self, livekit: LiveKit, room: str, identity: str) -> str:
        """Return a token for the room."""
        grants = api.VideoGrants(
            room_join=True,
            room=room,
            hidden=self.hidden,
            recorder=self.recorder,
            agent=self.agent,
            can_publish=self.can_publish,
        )
        token = api.AccessToken(livekit.key.key, livekit.key.secret).with_identity(identity).with_kind(self.kind)
        return token.with_attributes(dict(self.attributes)).with_grants(grants).to_jwt()


class SilentParticipant:
    """A participant with a given token, in the room from construction until leave()."""

    def __init__(self, url: str, token: str, identity: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.participants.silent_participant"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"url": url, "token": token}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline().strip()
        assert line == "in", f"{identity} could not join: {line}{self._process.stdout.read()}"

    def leave(self) -> None:
        """Leave the room; do nothing if already outside."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.wait(LEAVE_SECONDS)
        if self._process.stdout:
            self._process.stdout.close()


class RoleParticipant(SilentParticipant):
    """A participant with a role."""

    def __init__(self, livekit: LiveKit, room: str, identity: str, role: Role) -> None:
        super().__init__(livekit.url, role.token(livekit, room, identity), identity)


async def _stay_in_room(url: str, token: str) -> None:
    room = rtc.Room()
    await asyncio.wait_for(room.connect(url, token), LEAVE_SECONDS)
    print("in", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await room.disconnect()


if __name__ == "__main__":
    asyncio.run(_stay_in_room(**json.loads(sys.stdin.readline())))
