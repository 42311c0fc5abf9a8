"""Lines of the transcript: streams that grow, and ones that are sent again."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from voicesession_cli.voice.transcript import Line, Transcript


class Stream:
    """What the media library hands to a text stream handler."""

    def __init__(self, segment: str, final: bool, *words: str) -> None:
        attributes = {"lk.segment_id": segment, "lk.transcription_final": "true" if final else "false"}
        self.info = SimpleNamespace(attributes=attributes, stream_id="stream")
        self._words = words

    async def __aiter__(self) -> AsyncIterator[str]:
        for word in self._words:
            yield word


async def hear(transcript: Transcript, speaker: str, *streams: Any) -> None:
    for stream in streams:
        await transcript._read(stream, speaker)


async def test_words_are_told_as_they_come() -> None:
    told: list[str] = []
    transcript = Transcript(lambda _, words: told.append(words))
    await hear(transcript, "agent", Stream("s1", True, "You", " said"))
    assert told == ["You", " said", ""]
    assert transcript.text_of("agent") == "You said"
    assert transcript.lines[0].final


async def test_a_final_result_replaces_the_interim_one() -> None:
    transcript = Transcript()
    await hear(transcript, "alice", Stream("s1", False, "test on"), Stream("s1", True, "Test one."))
    assert transcript.text_of("alice") == "Test one."
    assert len(transcript.lines) == 1


async def test_speakers_and_times_are_told_apart() -> None:
    transcript = Transcript()
    transcript.lines = [
        Line("agent", "a", 1.0, "Hello."),
        Line("bob", "b", 2.0, "Hi."),
        Line("agent", "c", 3.0, "Yes. "),
    ]
    assert transcript.text_of("agent") == "Hello. Yes."
    assert transcript.text_of("agent", since=2.0) == "Yes."
