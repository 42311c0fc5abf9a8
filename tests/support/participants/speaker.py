"""A person who comes, speaks and leaves when told, as often as told: in a process of its own, told by lines of JSON.

The child's side is guest_process.py. A media engine does not outlive its server well, and people's engines starve each
other: so one process for each person, and none in the test itself.
"""

import json
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from voicesession_cli.voice.livekit_access import human_token

from tests.support.cluster.kubectl import Session
from tests.support.cluster.rooms import LiveKit
from tests.support.participants.transcript_match import has_words

MEET_SECONDS = 20
REPLY_SECONDS = 15
GREETING_SECONDS = 35
ANY_ANSWER = ("said",)
"""In every echo of the scripted model; proves that speech was heard, however badly."""


@dataclass(frozen=True)
class Answer:
    """One turn as the person had it."""

    said: str
    wanted: tuple[str, ...]
    words: str
    """The agent's own transcript of its answer; empty when none came."""
    heard_by_agent: str
    latency: float
    """Seconds from the end of speech to the first audible audio; 0 when none came."""
    repeated: bool
    """Whether the person had to say it twice, because she was misheard or not answered."""
    misheard: int = 0
    """How often the agent heard something, and not what she said, and gave no answer with the wanted words."""
    heard: str = ""
    """What the independent ear heard; filled in by Guest.listen()."""

    @property
    def right(self) -> bool:
        """Judged by the independent ear."""
        return has_words(self.heard, *self.wanted)

    @property
    def told(self) -> bool:
        """Judged by the agent's own words: what it meant to say, whoever heard it."""
        return has_words(self.words, *self.wanted)


class Guest:
    """`with Guest(livekit, session) as alice:` she comes and leaves as the test says; at the end she is gone."""

    def __init__(self, livekit: LiveKit, session: Session, identity: str = "alice") -> None:
        self.identity = identity
        self.answers: list[Answer] = []
        self._livekit, self._room = livekit, session.room
        self._url = str(session.status["room"]["url"])
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.participants.speaker_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __enter__(self) -> "Guest":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def come(self) -> float:
        """Join with an open microphone; returns the Unix time at which she was in."""
        key = self._livekit.key
        return self.come_with(human_token(key.key, key.secret, self._room, self.identity, self.identity.title()))

    def come_with(self, token: str) -> float:
        """The same with a token that somebody else minted for her."""
        return float(self._do("come", url=self._url, token=token, identity=self.identity)["at"])

    def meet(self, seconds: float = MEET_SECONDS) -> str:
        """Wait until an agent's audio is received; returns that agent's SID."""
        return str(self._do("meet", seconds=seconds, patience=seconds)["sid"])

    def greeted(self) -> bool:
        """Let a greeting end; False when there was none within 5 s."""
        return bool(self._do("quiet", patience=GREETING_SECONDS)["greeted"])

    def say(self, text: str, *wanted: str, within: float = REPLY_SECONDS) -> Answer:
        """Speak, and once more if there is no answer or one without the wanted words. Fails if none came at all."""
        answer = self._say(text, wanted or ANY_ANSWER, within, tries=2)
        assert answer.words or answer.latency, f"{self.identity} said {text!r} twice and was not answered"
        return answer

    def mutter(self, text: str, within: float = 1.0) -> Answer:
        """Speak once; an answer is not expected."""
        return self._say(text, ANY_ANSWER, within, tries=1)

    def hear(self, within: float, *wanted: str) -> Answer:
        """Say nothing until the agent has spoken of itself. Fails if it does not begin to in that time."""
        told = self._do("hear", within=within, patience=within + GREETING_SECONDS)
        answer = Answer(said="", wanted=wanted, **told)
        assert answer.words or answer.latency, f"{self.identity} heard nothing for {within:g} s"
        self.answers.append(answer)
        return answer

    def stay(self, seconds: float) -> None:
        """Be in the room (or outside of it) for a while, saying nothing."""
        self._do("stay", seconds=seconds, patience=seconds)

    def leave(self) -> float:
        """Leave politely; returns the Unix time at which she began to."""
        return float(self._do("leave")["at"])

    def visit(self, *turns: tuple[str, tuple[str, ...]]) -> list[Answer]:
        """Come, meet the agent, say it all, leave."""
        self.come()
        self.meet()
        answers = [self.say(text, *wanted) for text, wanted in turns]
        self.leave()
        return answers

    def listen(self) -> list[Answer]:
        """All answers so far with what the independent ear heard; it starves whoever is in a room, so come after."""
        heard = self._do("listen", patience=REPLY_SECONDS * (1 + len(self.answers)))["heard"]
        self.answers = [_with(answer, text) for answer, text in zip(self.answers, heard, strict=True)]
        return self.answers

    def close(self) -> None:
        """She leaves if she is still there; her process ends."""
        if self._process.stdin and not self._process.stdin.closed:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()

    def _say(self, text: str, wanted: tuple[str, ...], within: float, tries: int) -> Answer:
        patience = tries * (within + REPLY_SECONDS)
        told = self._do("say", text=text, wanted=list(wanted), within=within, tries=tries, patience=patience)
        self.answers.append(Answer(said=text, wanted=wanted, **told))
        return self.answers[-1]

    def _do(self, order: str, patience: float = 0.0, **fields: Any) -> dict[str, Any]:
        """One order and its answer. Fails with the person's own words, or when she does not answer at all."""
        assert self._process.stdin
        assert self._process.stdout
        longest = patience + MEET_SECONDS + REPLY_SECONDS
        silence = threading.Timer(longest, self._process.kill)
        silence.start()
        try:
            self._process.stdin.write(json.dumps({"do": order, **fields}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            silence.cancel()
        assert line, f"{self.identity}, told to {order}, died or was silent for {longest:g} s: {self._last_words()}"
        told: dict[str, Any] = json.loads(line)
        assert "error" not in told, f"{self.identity}, told to {order}: {told['error']}"
        return told

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:]


def _with(answer: Answer, heard: str) -> Answer:
    return Answer(**{**vars(answer), "heard": heard})
