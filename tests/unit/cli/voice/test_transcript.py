"""Lines of the transcript: growing streams, and streams that are sent again."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from voicesession_cli.voice.transcript import Transcript, TranscriptLine


class FakeStream:
    """A text stream of the media library."""

    def __init__(self, segment: str, final: bool, *words: str) -> None:
        attributes = {"lk.segment_id": segment, "lk.transcription_final": "true" if final else "false"}
        self.info = SimpleNamespace(attributes=attributes, stream_id="stream")
        self._words = words

    async def __aiter__(self) -> AsyncIterator[str]:
        for word in self._words:
            yield word


async def read(transcript: Transcript, speaker: str, *streams: Any) -> None:
    for stream in streams:
        await transcript.read(stream, speaker)


async def test_words_are_passed_on_as_received() -> None:
    received: list[str] = []
    transcript = Transcript(lambda _, words: received.append(words))
    await read(transcript, "agent", FakeStream("s1", True, "You", " said"))
    assert received == ["You", " said", ""]
    assert transcript.text_of("agent") == "You said"
    assert transcript.lines[0].final


async def test_final_stream_replaces_interim_stream() -> None:
    transcript = Transcript()
    await read(transcript, "alice", FakeStream("s1", False, "test on"), FakeStream("s1", True, "Test one."))
    assert transcript.text_of("alice") == "Test one."
    assert len(transcript.lines) == 1


async def test_text_of_selects_speaker_and_time() -> None:
    transcript = Transcript()
    transcript.lines = [
        TranscriptLine("agent", "a", 1.0, "Hello."),
        TranscriptLine("bob", "b", 2.0, "Hi."),
        TranscriptLine("agent", "c", 3.0, "Yes. "),
    ]
    assert transcript.text_of("agent") == "Hello. Yes."
    assert transcript.text_of("agent", since=2.0) == "Yes."
