"""Probes of a job: each turns events of the room or the session into one measurement; none reads a clock itself."""

import re
from collections import deque
from http import HTTPStatus
from typing import Final

LONGEST_TICK_SECONDS: Final = 2.0
"""Longest time counted between two ticks of a second: a pause of the process (frozen node, no CPU) is no evidence."""


class Ticks:
    """Measures the time between ticks; its callers pass the time."""

    def __init__(self) -> None:
        self._last: float | None = None

    def tick(self, now: float) -> float:
        """Return the seconds since the last tick, at most LONGEST_TICK_SECONDS; 0 at the first tick."""
        last, self._last = self._last, now
        return 0.0 if last is None else min(max(0.0, now - last), LONGEST_TICK_SECONDS)


DEAF_SECONDS: Final = 10.0
"""Total speech without a transcript: two long sentences."""
WINDOW_SECONDS: Final = 60.0
"""Only speech within this window counts."""
TRANSCRIPT_SECONDS: Final = 15.0
"""Time for the transcript after the end of a sound: livekit-agents gives up a request to a recognizer after 10 s, and
the error explains the missing words."""
SHORTEST_SECONDS: Final = 0.5
"""A shorter sound is a cough or a click."""


class DeafProbe:
    """Seconds of human speech in the last WINDOW_SECONDS that no transcript followed within TRANSCRIPT_SECONDS.

    Speech is the finding of voice detection, for which music, noise and silence are none; LiveKit's active speakers
    include every sound. Time in which this process was paused does not pass for the probe.
    """

    def __init__(self) -> None:
        self.sounds: deque[tuple[float, float]] = deque()
        """Time of the end, by the probe's own clock, and length of each ended sound in the window."""
        self._ticks = Ticks()
        self._time = 0.0
        self._since: float | None = None

    def speaks(self, speaking: bool, now: float) -> None:
        """Take the state of voice detection."""
        self._advance(now)
        if speaking and self._since is None:
            self._since = self._time
        elif not speaking and self._since is not None:
            length, self._since = self._time - self._since, None
            if length >= SHORTEST_SECONDS:
                self.sounds.append((self._time, length))

    def interrupted(self) -> None:
        """Forget the sound in progress: its human left or muted the microphone, and voice detection sees no end."""
        self._since = None

    def heard(self) -> None:
        """Take a transcript, or an error of the recognizer."""
        self.sounds.clear()
        self._since = None if self._since is None else self._time

    def seconds(self, now: float) -> float:
        """Return the seconds of speech without a transcript; call it once a second."""
        self._advance(now)
        return sum(length for end, length in self.sounds if end + TRANSCRIPT_SECONDS <= self._time)

    def _advance(self, now: float) -> None:
        self._time += self._ticks.tick(now)
        while self.sounds and self.sounds[0][0] <= self._time - WINDOW_SECONDS:
            self.sounds.popleft()


def is_deaf(unheard: float) -> bool:
    """Return whether so many seconds of unheard speech are a problem."""
    return unheard >= DEAF_SECONDS


MUTE_SECONDS: Final = 4.0
"""Playback that is so late has stopped; a busy machine delays it by a fraction of a second."""


class MuteProbe:
    """Seconds for which sound was handed over to the room and, when it was due, not played.

    A segment of sound ends with `flushed`. Until then it may run dry, because a slow model pauses in mid-answer.
    """

    def __init__(self) -> None:
        self._ticks = Ticks()
        self._is_open = False
        self._has_started = False
        self._is_flushed = False
        self._is_paused = False
        self._unplayed = 0.0
        self._late = 0.0

    def handed_over(self, seconds: float, now: float) -> None:
        """Take sound that the room's output accepted."""
        self._advance(now)
        self._is_open = True
        self._unplayed += seconds

    def flushed(self, now: float) -> None:
        """Take the end of the segment: playback has to finish."""
        self._advance(now)
        self._is_flushed = self._is_open

    def started(self, now: float) -> None:
        """Take the start of the playback."""
        self._advance(now)
        self._has_started, self._late = True, 0.0

    def paused(self, paused: bool, now: float) -> None:
        """Take that the session holds the playback, or lets it go on."""
        self._advance(now)
        self._is_paused = paused

    def finished(self, now: float) -> None:
        """Take the end of the playback, complete or interrupted, or that the session dropped the sound."""
        self._advance(now)
        self._is_open = self._has_started = self._is_flushed = False
        self._unplayed = self._late = 0.0

    def seconds(self, now: float) -> float:
        """Return the seconds by which playback is late; call it once a second."""
        self._advance(now)
        return self._late

    def _advance(self, now: float) -> None:
        passed = self._ticks.tick(now)
        if not self._is_open or self._is_paused:
            return
        if not self._has_started:
            self._late += passed
            return
        played = min(passed, self._unplayed)
        self._unplayed -= played
        if self._is_flushed:
            self._late += passed - played


def is_mute(inaudible: float, muted: bool) -> bool:
    """Return whether the agent cannot be heard; a muted publication is enough: the assistant never mutes its own."""
    return muted or inaudible >= MUTE_SECONDS


DISCONNECTED_SECONDS: Final = 20.0
"""Four attempts of LiveKit's client (livekit-rtc 1.1.21), which tries every 5 s to get its connection back."""


class DisconnectedProbe:
    """Seconds without a connection to the room in which another job could have joined it.

    While LiveKit or the room is away, the client needs patience: another job could not join either, and would not know
    the conversation.
    """

    def __init__(self) -> None:
        self._ticks = Ticks()
        self.seconds = 0.0
        """Counted seconds; a restored connection resets them."""

    def tick(self, connected: bool, can_join: bool, now: float) -> None:
        """Take the state of the connection, and whether LiveKit would let another job join now."""
        passed = self._ticks.tick(now)
        if connected:
            self.seconds = 0.0
        elif can_join:
            self.seconds += passed


def is_disconnected(lost: float) -> bool:
    """Return whether so many seconds without a connection are a problem."""
    return lost >= DISCONNECTED_SECONDS


TURNS: Final = 3
"""Failed turns in a row; the provider's own retries have failed in each of them."""
ROLES: Final = ("stt", "llm", "tts")
FAILURE_CHARACTERS: Final = 128
"""Longest description of a failure."""


class ProviderProbe:
    """Counts failures per role after all retries, with their last cause; a success of the role resets its count."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(ROLES, 0)
        self._causes = dict.fromkeys(ROLES, "")
        self._broken = ""

    def attempt_failed(self, kind: str, cause: str) -> None:
        """Take the cause of an error of livekit-agents' type `kind`, such as `llm_error`, that a retry may solve."""
        role = _role(kind)
        if role in self._causes:
            self._causes[role] = cause or self._causes[role]

    def failed(self, kind: str, cause: str) -> None:
        """Count a failed turn; only errors of providers count. An empty cause stands for that of the last attempt."""
        self.attempt_failed(kind, cause)
        role = _role(kind)
        if role in self._counts:
            self._counts[role] += 1

    def broken(self, kind: str, cause: str) -> None:
        """Take the error after which the session no longer uses the role: no later turn can succeed in this job."""
        self.attempt_failed(kind, cause)
        self._broken = _role(kind)

    def succeeded(self, *roles: str) -> None:
        """Reset the counts of these roles."""
        self._counts.update(dict.fromkeys(roles, 0))

    @property
    def has_failure(self) -> bool:
        """Return whether any role has failed since its last success."""
        return bool(self._broken) or any(self._counts.values())

    @property
    def is_broken(self) -> bool:
        """Return whether only another job can use its providers again."""
        return bool(self._broken)

    def failing(self) -> str:
        """Return the failing role with its cause, such as `llm openai: 401 invalid_api_key, 3 turns`, or nothing."""
        if self._broken:
            return " ".join(filter(None, (self._broken, self._causes.get(self._broken, ""))))
        role = next((role for role, count in self._counts.items() if count >= TURNS), "")
        return f"{role} {self._causes[role]}, {self._counts[role]} turns" if role else ""


def _role(kind: str) -> str:
    return kind.removesuffix("_error")


PLUGINS: Final = "livekit.plugins."
REASON: Final = re.compile(r"[a-z]+(_[a-z]+){0,5}")
"""A reason as APIs write it (`insufficient_quota`). Anything else in an error may quote a prompt or a key."""


def describe_failure(label: str, error: object) -> str:
    """Return the provider and the cause of its error, such as `openai: 401 invalid_api_key`.

    `label` is livekit-agents' label of the engine, its module and class. For a FallbackAdapter, whose own error hides
    those of its engines, the result is empty.
    """
    if label.endswith(".FallbackAdapter"):
        return ""
    return f"{provider_name(label)}: {_cause(error)}"[:FAILURE_CHARACTERS]


def provider_name(label: str) -> str:
    """Return the name of the plugin, or else of the module, in livekit-agents' label of an engine."""
    if label.startswith(PLUGINS):
        return label.removeprefix(PLUGINS).partition(".")[0]
    module, _, name = label.rpartition(".")
    return module.rpartition(".")[2] or name


def _cause(error: object) -> str:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and status in {known.value for known in HTTPStatus}:
        return f"{status} {_api_reason(getattr(error, 'body', None)) or HTTPStatus(status).phrase}"
    if kinds & {"APITimeoutError", "TimeoutError"}:
        return "timeout"
    return "no connection" if "APIConnectionError" in kinds else type(error).__name__


def _api_reason(body: object) -> str:
    """Return the reason in an error's body, as OpenAI and compatible servers send it."""
    if not isinstance(body, dict):
        return ""
    nested = body.get("error")
    fields = nested if isinstance(nested, dict) else body
    known = (fields.get(name) for name in ("code", "type"))
    return next((text for text in known if isinstance(text, str) and REASON.fullmatch(text)), "")
