"""A human with a voice, in a process of its own: joins, speaks and leaves on command, any number of times.

The process runs speaker_process.py and exchanges JSON lines with this one. LiveKit's client library does not survive
the restart of its server well, and the clients of several humans in one process delay each other. So each human has a
process, and the test has none of them.
"""

import json
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from voicesession_cli.voice.livekit_access import human_token

from tests.support.cluster.kubectl import Session
from tests.support.cluster.rooms import LiveKit
from tests.support.participants.transcript_match import has_words

AGENT_SECONDS = 20
REPLY_SECONDS = 15
GREETING_SECONDS = 35
ANY_ANSWER = ("said",)
"""Part of every echo of the scripted model; proves that speech was received, even if misheard."""


@dataclass(frozen=True)
class Answer:
    """One turn: a sentence of the human, and the agent's answer to it."""

    sentence: str
    keywords: tuple[str, ...]
    """Words that the answer must contain."""
    transcript: str
    """The agent's own transcript of its answer; empty if there was no answer."""
    heard_by_agent: str
    """The agent's transcript of the sentence."""
    latency: float
    """Seconds from the end of speech to the first audible audio; 0 if there was no answer."""
    repeated: bool
    """Whether the sentence was said twice."""
    misheard: int = 0
    """Number of times that the agent heard another sentence and gave no answer with the keywords."""
    recognized: str = ""
    """The independent recognizer's transcript of the answer; set by Speaker.transcribe()."""

    @property
    def is_recognized(self) -> bool:
        """Return whether the independent recognizer's transcript has the keywords."""
        return has_words(self.recognized, *self.keywords)

    @property
    def is_expected(self) -> bool:
        """Return whether the agent's own transcript has the keywords."""
        return has_words(self.transcript, *self.keywords)


class Speaker:
    """A human with a voice; a context manager that ends their process."""

    def __init__(self, livekit: LiveKit, session: Session, identity: str = "alice") -> None:
        self.identity = identity
        self.answers: list[Answer] = []
        self._livekit, self._room = livekit, session.room
        self._url = str(session.status["room"]["url"])
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  open as long as the process runs
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.participants.speaker_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __enter__(self) -> "Speaker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def join(self) -> float:
        """Join the room with an open microphone; return the Unix time of the join."""
        key = self._livekit.key
        return self.join_with_token(human_token(key.key, key.secret, self._room, self.identity, self.identity.title()))

    def join_with_token(self, token: str) -> float:
        """Join the room with a given token; return the Unix time of the join."""
        return float(self._command("join", url=self._url, token=token, identity=self.identity)["at"])

    def wait_for_agent(self, seconds: float = AGENT_SECONDS) -> str:
        """Wait until an agent's audio arrives; return the agent's SID."""
        return str(self._command("wait_for_agent", seconds=seconds, timeout=seconds)["sid"])

    def wait_for_greeting(self) -> bool:
        """Wait until a greeting ends; return False if none starts within 5 s."""
        return bool(self._command("wait_for_greeting", timeout=GREETING_SECONDS)["greeted"])

    def say(
        self, sentence: str, *keywords: str, within: float = REPLY_SECONDS, repeat_unanswered: bool = False
    ) -> Answer:
        """Say a sentence and return the answer; fail if there is none.

        The sentence is said once more if the agent misheard it and the answer lacks the keywords. Pass
        `repeat_unanswered` only where docs/limits.md allows the agent to lose a sentence, such as during a reset.
        """
        answer = self._say(
            sentence, keywords or ANY_ANSWER, within, may_repeat=True, repeat_unanswered=repeat_unanswered
        )
        if answer.repeated:
            reason = "misheard" if answer.misheard else "unanswered"
            print(f"{self.identity} said {sentence!r} twice, it was {reason}; answer: {answer.transcript!r}")
        assert answer.transcript or answer.latency, f"{self.identity} said {sentence!r} and got no answer"
        return answer

    def say_once(self, sentence: str, within: float = 1.0) -> Answer:
        """Say a sentence once; an answer is optional."""
        return self._say(sentence, ANY_ANSWER, within, may_repeat=False)

    def wait_for_speech(self, within: float, *keywords: str) -> Answer:
        """Wait until the agent speaks unprompted; fail if it does not start within this time."""
        reply = self._command("wait_for_speech", within=within, timeout=within + GREETING_SECONDS)
        answer = Answer(sentence="", keywords=keywords, **reply)
        assert answer.transcript or answer.latency, f"{self.identity} heard no speech for {within:g} s"
        self.answers.append(answer)
        return answer

    def wait(self, seconds: float) -> None:
        """Stay in the room, or outside of it, without speaking."""
        self._command("wait", seconds=seconds, timeout=seconds)

    def play_music(self, seconds: float) -> None:
        """Play music beside the open microphone."""
        self._command("play_music", seconds=seconds, timeout=seconds + REPLY_SECONDS)

    def leave(self) -> float:
        """Leave the room; return the Unix time just before."""
        return float(self._command("leave")["at"])

    def hold_conversation(self, *turns: tuple[str, tuple[str, ...]]) -> list[Answer]:
        """Join, wait for the agent, say all sentences, and leave."""
        self.join()
        self.wait_for_agent()
        answers = [self.say(sentence, *keywords) for sentence, keywords in turns]
        self.leave()
        return answers

    def transcribe(self) -> list[Answer]:
        """Return all answers with the independent recognizer's transcripts.

        Call it after everybody has left: recognition takes the CPU time of the humans in a room.
        """
        transcripts = self._command("transcribe", timeout=REPLY_SECONDS * (1 + len(self.answers)))["transcripts"]
        self.answers = [
            replace(answer, recognized=text) for answer, text in zip(self.answers, transcripts, strict=True)
        ]
        return self.answers

    def close(self) -> None:
        """Leave the room if still in it, and end the process."""
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

    def _say(
        self,
        sentence: str,
        keywords: tuple[str, ...],
        within: float,
        *,
        may_repeat: bool,
        repeat_unanswered: bool = False,
    ) -> Answer:
        reply = self._command(
            "say",
            sentence=sentence,
            keywords=list(keywords),
            within=within,
            may_repeat=may_repeat,
            repeat_unanswered=repeat_unanswered,
            timeout=(1 + may_repeat) * (within + REPLY_SECONDS),
        )
        self.answers.append(Answer(sentence=sentence, keywords=keywords, **reply))
        return self.answers[-1]

    def _command(self, name: str, timeout: float = 0.0, **fields: Any) -> dict[str, Any]:
        """Send a command to the process and return its answer; fail with the process' error, or on a timeout."""
        assert self._process.stdin
        assert self._process.stdout
        longest = timeout + AGENT_SECONDS + REPLY_SECONDS
        deadline = threading.Timer(longest, self._process.kill)
        deadline.start()
        try:
            self._process.stdin.write(json.dumps({"command": name, **fields}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            deadline.cancel()
        assert line, f"{self.identity}: {name} ended or took more than {longest:g} s: {self._error_output()}"
        answer: dict[str, Any] = json.loads(line)
        assert "error" not in answer, f"{self.identity}: {name} failed: {answer['error']}"
        return answer

    def _error_output(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:]
