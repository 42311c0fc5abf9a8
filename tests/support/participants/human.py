"""People as processes of their own: only a process can be killed in the middle of a call."""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from hack.cluster import constants
from tests.support.cluster.rooms import LiveKit
from tests.support.polling import until

STAY_SECONDS = 3600


class Visitor:
    """A human who is in the room and says nothing, until she leaves or is killed."""

    def __init__(self, livekit: LiveKit, session: str, namespace: str, room: str, identity: str = "alice") -> None:
        self.identity = identity
        self._livekit, self._room = livekit, room
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115  lives as long as the process
        command = _command(session, namespace, "--identity", identity, "--linger", str(STAY_SECONDS))
        self._process = subprocess.Popen(
            command, stdout=self._output, stderr=subprocess.STDOUT, env=_environment(livekit)
        )

    def joined(self, seconds: float = 60) -> "Visitor":
        """Wait until LiveKit shows her; fails with her own words if she gave up."""
        until(self._is_there, f"{self.identity} in the room {self._room}", seconds)
        return self

    def leave(self) -> None:
        """Leave politely; returns when the process has ended."""
        self._end(self._process.terminate)

    def kill(self) -> None:
        """SIGKILL: nobody is told."""
        self._end(self._process.kill)

    def _is_there(self) -> bool:
        if self._process.poll() is not None:
            self._output.seek(0)
            raise AssertionError(f"{self.identity} gave up: {self._output.read().strip()}")
        return bool(self._livekit.sid(self._room, self.identity))

    def _end(self, how: Any) -> None:
        if self._process.poll() is None:
            how()
        self._process.wait(20)
        self._output.close()


def talk(livekit: LiveKit, session: str, namespace: str, *flags: str, seconds: float = 180) -> dict[str, Any]:
    """`voicesession talk ... -o json` as a user runs it. Fails with the command's own words unless it exits with 0."""
    done = subprocess.run(
        _command(session, namespace, *flags, "-o", "json"),
        capture_output=True,
        text=True,
        timeout=seconds,
        env=_environment(livekit),
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr.strip()}\n{done.stdout}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _command(session: str, namespace: str, *flags: str) -> list[str]:
    command = [sys.executable, "-m", "voicesession_cli", "talk", session, "-n", namespace]
    return [*command, "--context", constants.CONTEXT, *flags]


def _environment(livekit: LiveKit) -> dict[str, str]:
    """With the key at hand, people need no right to read Secrets."""
    return {**os.environ, "LIVEKIT_API_KEY": livekit.key.key, "LIVEKIT_API_SECRET": livekit.key.secret}
