"""Humans as processes of the CLI, so that a test can kill one in the middle of a call."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from hack.cluster import constants
from tests.support.cluster.rooms import LiveKit
from tests.support.polling import until

STAY_SECONDS = 3600


class SilentHuman:
    """A human that stays in the room without speaking, until they leave or are killed."""

    def __init__(self, livekit: LiveKit, session: str, namespace: str, room: str, identity: str = "alice") -> None:
        self.identity = identity
        self._livekit, self._room = livekit, room
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115  open as long as the process runs
        command = _command(session, namespace, "--identity", identity, "--linger", str(STAY_SECONDS))
        self._process = subprocess.Popen(
            command, stdout=self._output, stderr=subprocess.STDOUT, env=_environment(livekit)
        )

    def wait_until_joined(self, seconds: float = 60) -> "SilentHuman":
        """Wait until LiveKit lists the human; fail with the output of the process if it ended."""
        until(self._is_in_room, f"{self.identity} in the room {self._room}", seconds)
        return self

    def leave(self) -> None:
        """Leave the room; return when the process has ended."""
        self._end(self._process.terminate)

    def kill(self) -> None:
        """Kill the process (SIGKILL), so that LiveKit is not notified."""
        self._end(self._process.kill)

    def _is_in_room(self) -> bool:
        if self._process.poll() is not None:
            self._output.seek(0)
            raise AssertionError(f"{self.identity} ended: {self._output.read().strip()}")
        return bool(self._livekit.sid(self._room, self.identity))

    def _end(self, send_signal: Callable[[], None]) -> None:
        if self._process.poll() is None:
            send_signal()
        self._process.wait(20)
        self._output.close()


def talk(livekit: LiveKit, session: str, namespace: str, *flags: str, seconds: float = 180) -> dict[str, Any]:
    """Run `voicesession talk ... -o json` and return its output; fail with its error message."""
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
    """Return the environment with LiveKit's key, so that the CLI reads no Secret."""
    return {**os.environ, "LIVEKIT_API_KEY": livekit.key.key, "LIVEKIT_API_SECRET": livekit.key.secret}
