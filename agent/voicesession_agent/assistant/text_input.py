"""Text of the humans in the room: typed messages and the digits of a phone's keys, each a turn of the conversation.

RoomIO takes the text of the linked human only, and ignores digits; here every human in the room is heard.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from livekit import rtc
from livekit.agents.types import TOPIC_CHAT

from voicesession_agent.assistant.idle_prompt import CallLater, Timer, call_later
from voicesession_agent.job.humans import is_present

MAX_LENGTH: Final = 4000
"""Longest message in characters; the rest is cut off. The page's field and LiveKit's components allow less."""
MAX_MESSAGES: Final = 16
"""Most messages of a room that are read or wait for their turn; later ones are dropped."""
READ_SECONDS: Final = 10.0
"""Time limit to receive one message, which a client may send in any number of pieces, and to learn of its sender."""
DIGITS_PAUSE_SECONDS: Final = 2.0
"""Pause after a digit that ends the number."""
DIGITS_END: Final = "#"
"""The key that ends the number at once, as on voice menus."""
MAX_DIGITS: Final = 64
DIGITS_MARK: Final = "[DTMF]"
"""Text in front of a number, so that the model can tell it from speech."""
MAX_NAME_LENGTH: Final = 40
"""Longest name of a human in front of a message, in characters."""
Submit = Callable[[rtc.RemoteParticipant, str], Awaitable[None]]
log = logging.getLogger(__name__)


class TextInput:
    """Hands typed messages and digits to `submit`, one at a time, in the order in which they were complete.

    Those of a human gone meanwhile are dropped.
    """

    def __init__(
        self,
        room: rtc.Room,
        submit: Submit,
        read_seconds: float = READ_SECONDS,
        call_later: CallLater = call_later,
    ) -> None:
        """Take messages from now on; they wait until `start`."""
        self._room = room
        self._submit = submit
        self._read_seconds = read_seconds
        self._digits = DigitCollector(self._add_number, call_later)
        self._waiting: asyncio.Queue[tuple[rtc.RemoteParticipant, str]] = asyncio.Queue(MAX_MESSAGES)
        self._drops = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None
        room.register_text_stream_handler(TOPIC_CHAT, self._on_message)
        room.on("sip_dtmf_received", self._on_digit)

    def start(self) -> None:
        """Submit the messages."""
        self._running = asyncio.create_task(self._submit_messages())

    async def close(self) -> None:
        """Stop for good."""
        self._room.unregister_text_stream_handler(TOPIC_CHAT)
        self._room.off("sip_dtmf_received", self._on_digit)
        self._digits.close()
        tasks = [*self._tasks, *([self._running] if self._running else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_message(self, reader: rtc.TextStreamReader, identity: str) -> None:
        if len(self._tasks) >= MAX_MESSAGES:
            reader.close()
            self._drop()
            return
        task = asyncio.create_task(self._read(reader, identity))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, reader: rtc.TextStreamReader, identity: str) -> None:
        """Read one message of a human; a reader that is not closed would live as long as the process."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._read_seconds):
                    participant = await self._find(identity)
                    if is_present(participant):
                        self._add(participant, await _read_text(reader))
        except rtc.StreamError:
            log.warning("a typed message was not received", extra={"event": "text_lost"})
        finally:
            reader.close()

    async def _find(self, identity: str) -> rtc.RemoteParticipant:
        """Return the participant, without a time limit.

        LiveKit announces a participant without media up to 3 s later than it forwards their first message.
        """
        joined = asyncio.Event()

        def on_joined(_: rtc.RemoteParticipant) -> None:
            joined.set()

        self._room.on("participant_connected", on_joined)
        try:
            while (participant := self._room.remote_participants.get(identity)) is None:
                joined.clear()
                await joined.wait()
        finally:
            self._room.off("participant_connected", on_joined)
        return participant

    def _on_digit(self, digit: rtc.SipDTMF) -> None:
        if digit.participant is not None and is_present(digit.participant):
            self._digits.add(digit.participant, digit.digit)

    def _add_number(self, participant: rtc.RemoteParticipant, number: str) -> None:
        self._add(participant, f"{DIGITS_MARK} {number}")

    def _add(self, participant: rtc.RemoteParticipant, text: str) -> None:
        if not text.strip():
            return
        try:
            self._waiting.put_nowait((participant, text.strip()))
            self._drops = False
        except asyncio.QueueFull:
            self._drop()

    def _drop(self) -> None:
        """Log the first message of a flood."""
        if not self._drops:
            extra = {"event": "text_dropped", "limit": MAX_MESSAGES}
            log.warning("typed messages are dropped: too many wait", extra=extra)
        self._drops = True

    async def _submit_messages(self) -> None:
        while True:
            sender, text = await self._waiting.get()
            participant = self._room.remote_participants.get(sender.identity)
            if participant is None:
                continue
            try:
                await self._submit(participant, text)
            except Exception:
                log.exception("a typed message was not answered", extra={"event": "text_failed"})


class DigitCollector:
    """Collects the digits of each phone into numbers.

    A number ends with DIGITS_END, with a pause, or at its greatest length.
    """

    def __init__(
        self, on_number: Callable[[rtc.RemoteParticipant, str], None], call_later: CallLater = call_later
    ) -> None:
        self._on_number = on_number
        self._call_later = call_later
        self._pressed: dict[str, str] = {}
        self._timers: dict[str, Timer] = {}

    def add(self, participant: rtc.RemoteParticipant, digit: str) -> None:
        """Take the key of a phone: a digit, `*`, `#`, or `A` to `D`."""
        identity = participant.identity
        if timer := self._timers.pop(identity, None):
            timer.cancel()
        pressed = self._pressed.get(identity, "") + digit
        self._pressed[identity] = pressed
        if digit == DIGITS_END or len(pressed) >= MAX_DIGITS:
            self._finish(participant)
        else:
            self._timers[identity] = self._call_later(DIGITS_PAUSE_SECONDS, lambda: self._finish(participant))

    def close(self) -> None:
        """Forget all digits."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._pressed.clear()

    def _finish(self, participant: rtc.RemoteParticipant) -> None:
        self._timers.pop(participant.identity, None)
        pressed = self._pressed.pop(participant.identity)
        self._on_number(participant, pressed.removesuffix(DIGITS_END) or pressed)


def attribute(room: rtc.Room, participant: rtc.RemoteParticipant, text: str) -> str:
    """Return the text with the name of its human in front if more than one human is in the room."""
    humans = sum(map(is_present, room.remote_participants.values()))
    return f"[{_name(participant)}] {text}" if humans > 1 else text


def _name(participant: rtc.RemoteParticipant) -> str:
    """Return the name, else the identity, on one line and without brackets: people choose their names."""
    name = participant.name or participant.identity
    letters = "".join(c if c.isprintable() and c not in "[]" else " " for c in name)
    return " ".join(letters.split())[:MAX_NAME_LENGTH]


async def _read_text(reader: rtc.TextStreamReader) -> str:
    """Return the message, at most MAX_LENGTH characters of it."""
    text = ""
    async for piece in reader:
        text += piece
        if len(text) >= MAX_LENGTH:
            break
    return text[:MAX_LENGTH]
