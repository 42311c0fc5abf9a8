"""The transcript of a room, from LiveKit's transcription streams."""

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
class TranscriptLine:
    """One segment of speech; `text` grows during it, and `at` is time.perf_counter() of its first words."""

    speaker: str
    segment: str
    at: float
    text: str = ""
    final: bool = False


OnWords = Callable[[TranscriptLine, str], None]
"""Called with the line and its new words, and with "" at the end of a stream, whether final or interim."""


@dataclass
class Transcript:
    """Lines of every participant, in the order of their first words."""

    on_words: OnWords | None = None
    lines: list[TranscriptLine] = field(default_factory=list)
    _readers: set[asyncio.Task[None]] = field(default_factory=set)

    def listen(self, room: rtc.Room) -> None:
        """Register for the streams of a room; call it before joining, or the first words are lost."""
        room.register_text_stream_handler(TOPIC, self._on_stream)

    def text_of(self, speaker: str, since: float = 0.0) -> str:
        """Return the words of one participant since a moment of time.perf_counter(), in one line."""
        lines = (line.text.strip() for line in self.lines if line.speaker == speaker and line.at >= since)
        return " ".join(text for text in lines if text)

    async def close(self) -> None:
        """Stop reading; the received lines stay."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def read(self, reader: rtc.TextStreamReader, speaker: str) -> None:
        """Read one stream to its end."""
        segment = (reader.info.attributes or {}).get(SEGMENT) or reader.info.stream_id
        line = self._line(speaker, segment)
        with contextlib.suppress(rtc.StreamError):
            async for words in reader:
                line.text += words
                self._notify(line, words)
        line.final = (reader.info.attributes or {}).get(IS_FINAL) == "true"
        self._notify(line, "")

    def _on_stream(self, reader: rtc.TextStreamReader, speaker: str) -> None:
        task = asyncio.get_running_loop().create_task(self.read(reader, speaker))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    def _line(self, speaker: str, segment: str) -> TranscriptLine:
        """Return the line of a segment; a corrected segment that is sent again replaces its earlier text."""
        for line in self.lines:
            if (line.speaker, line.segment) == (speaker, segment):
                line.text = ""
                return line
        self.lines.append(TranscriptLine(speaker, segment, time.perf_counter()))
        return self.lines[-1]

    def _notify(self, line: TranscriptLine, words: str) -> None:
        if self.on_words:
            self.on_words(line, words)
