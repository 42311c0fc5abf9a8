"""Who said what, from LiveKit's transcription stream."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from livekit import rtc

TOPIC: Final = "lk.transcription"
SEGMENT: Final = "lk.segment_id"
IS_FINAL: Final = "lk.transcription_final"


@dataclass
class Line:
    """One segment of speech; `text` grows while it is spoken. `at` is time.perf_counter() of its first words."""

    speaker: str
    segment: str
    at: float
    text: str = ""
    final: bool = False


OnWords = Callable[[Line, str], None]
"""Called with the line and the words that just came; with "" when its words, final or not, have all come."""


@dataclass
class Transcript:
    """Lines of everyone in the room, in the order in which they began."""

    on_words: OnWords | None = None
    lines: list[Line] = field(default_factory=list)
    _readers: set[asyncio.Task[None]] = field(default_factory=set)

    def listen(self, room: rtc.Room) -> None:
        """To be called before the room is joined, or the first words are lost."""
        room.register_text_stream_handler(TOPIC, self._opened)

    def text_of(self, speaker: str, since: float = 0.0) -> str:
        """What one participant said since a moment of time.perf_counter(), in one line."""
        lines = (line.text.strip() for line in self.lines if line.speaker == speaker and line.at >= since)
        return " ".join(text for text in lines if text)

    async def close(self) -> None:
        """Stop reading; what has come so far stays."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    def _opened(self, reader: rtc.TextStreamReader, speaker: str) -> None:
        task = asyncio.get_running_loop().create_task(self._read(reader, speaker))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _read(self, reader: rtc.TextStreamReader, speaker: str) -> None:
        segment = (reader.info.attributes or {}).get(SEGMENT) or reader.info.stream_id
        line = self._line(speaker, segment)
        with contextlib.suppress(rtc.StreamError):
            async for words in reader:
                line.text += words
                self._tell(line, words)
        line.final = (reader.info.attributes or {}).get(IS_FINAL) == "true"
        self._tell(line, "")

    def _line(self, speaker: str, segment: str) -> Line:
        """A segment that is sent again (an interim result, corrected) replaces its text, it does not repeat it."""
        for line in self.lines:
            if (line.speaker, line.segment) == (speaker, segment):
                line.text = ""
                return line
        self.lines.append(Line(speaker, segment, time.perf_counter()))
        return self.lines[-1]

    def _tell(self, line: Line, words: str) -> None:
        if self.on_words:
            self.on_words(line, words)
