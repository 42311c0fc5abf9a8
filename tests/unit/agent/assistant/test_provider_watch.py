"""The spoken lines and the reports about slow and failing providers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import FlushSentinel, llm
from voicesession_agent.assistant.provider_watch import ENGLISH, LINES, ProviderWatch, SpokenLines, spoken_lines
from voicesession_agent.settings import AgentSpec, Provider

from tests.support.fakes.faulty_providers import LOUD, RATE, SILENCE, refusal
from tests.support.fakes.room import FakeAgentSession

LABEL = "livekit.plugins.openai.llm.LLM"
NEVER = 3600.0
SILENT_LINES = SpokenLines("", "")


class Health:
    """A health monitor that keeps the reports about providers."""

    def __init__(self) -> None:
        self.failed: list[tuple[str, str, str]] = []
        self.succeeded: list[str] = []

    def provider_failed(self, role: str, label: str, cause: str) -> None:
        self.failed.append((role, label, cause))

    def provider_succeeded(self, role: str) -> None:
        self.succeeded.append(role)


class WatchScene:
    def __init__(self) -> None:
        self.health = Health()

    def watch(self, lines: SpokenLines = ENGLISH, wait: float = NEVER, attempt: float = NEVER) -> ProviderWatch:
        health: Any = self.health
        return ProviderWatch(health, lines, wait, attempt)

    async def texts(self, watch: ProviderWatch, chunks: Any, *, may_be_empty: bool = False) -> list[str]:
        """Return the texts of an answer; a sentinel is "|"."""
        return [to_text(c) async for c in watch.answer(chunks, LABEL, may_be_empty=may_be_empty)]


def to_text(chunk: Any) -> str:
    return "|" if isinstance(chunk, FlushSentinel) else str(chunk)


async def model(*chunks: Any, then: Exception | None = None, hang: bool = False) -> AsyncGenerator[Any, None]:
    for chunk in chunks:
        yield chunk
    if hang:
        await asyncio.Event().wait()
    if then is not None:
        raise then


async def frames(sound: bytes) -> AsyncIterator[rtc.AudioFrame]:
    yield rtc.AudioFrame(sound, RATE, 1, len(sound) // 2)


@pytest.fixture
def scene() -> WatchScene:
    return WatchScene()


async def test_answer_is_passed_on(scene: WatchScene) -> None:
    call = llm.ChatChunk(id="1", delta=llm.ChoiceDelta(role="assistant", content="Blue."))
    usage = llm.ChatChunk(id="1")
    got = [c async for c in scene.watch().answer(model(usage, call, "More."), LABEL, may_be_empty=False)]
    assert got == [usage, call, "More."]
    assert (scene.health.failed, scene.health.succeeded) == ([], ["llm"])


async def test_slow_answer_begins_with_wait_prompt(scene: WatchScene) -> None:
    may_answer = asyncio.Event()

    async def slow() -> AsyncGenerator[Any, None]:
        await may_answer.wait()
        yield "Blue."

    answer = scene.watch(wait=0.001).answer(slow(), LABEL, may_be_empty=False)
    assert to_text(await anext(answer)) == "One moment please. "
    may_answer.set()
    assert [to_text(chunk) async for chunk in answer] == ["|", "Blue."]
    assert scene.health.failed == []


async def test_pause_in_mid_answer_is_no_failure(scene: WatchScene) -> None:
    may_go_on = asyncio.Event()

    async def pausing() -> AsyncGenerator[Any, None]:
        yield "Blue"
        await may_go_on.wait()
        yield "."

    answer = scene.watch(wait=0.001, attempt=0.001).answer(pausing(), LABEL, may_be_empty=False)
    first = await anext(answer)
    second = asyncio.ensure_future(anext(answer))
    await asyncio.wait((second,), timeout=0.05)
    may_go_on.set()
    assert (first, await second, scene.health.failed) == ("Blue", ".", [])


async def test_hanging_answer_ends_with_apology(scene: WatchScene) -> None:
    watch = scene.watch(wait=0.001, attempt=0.001)
    assert await scene.texts(watch, model(hang=True)) == ["One moment please. ", "|", ENGLISH.apology]
    assert scene.health.failed == [("llm", LABEL, "no answer")]


async def test_answer_interrupted_while_human_waits_is_failure(scene: WatchScene) -> None:
    answer: Any = scene.watch(wait=0.001).answer(model(hang=True), LABEL, may_be_empty=False)
    assert to_text(await anext(answer)) == "One moment please. "
    await answer.aclose()
    assert scene.health.failed == [("llm", LABEL, "no answer")]


async def test_answer_interrupted_at_once_is_no_failure(scene: WatchScene) -> None:
    answer: Any = scene.watch().answer(model("Blue.", hang=True), LABEL, may_be_empty=False)
    assert to_text(await anext(answer)) == "Blue."
    await answer.aclose()
    assert scene.health.failed == []


@pytest.mark.parametrize("chunks", [(), ("Blue",)])
async def test_error_is_replaced_by_separate_apology(scene: WatchScene, chunks: tuple[str, ...]) -> None:
    begun = [*chunks, " ", "|"] if chunks else []
    assert await scene.texts(scene.watch(), model(*chunks, then=refusal(500))) == [*begun, ENGLISH.apology]


async def test_empty_answer_is_failure_but_not_after_tool(scene: WatchScene) -> None:
    assert await scene.texts(scene.watch(), model(), may_be_empty=True) == []
    assert scene.health.failed == []
    assert await scene.texts(scene.watch(), model()) == [ENGLISH.apology]
    assert scene.health.failed == [("llm", LABEL, "empty answer")]


async def test_empty_lines_are_not_said(scene: WatchScene) -> None:
    watch = scene.watch(SILENT_LINES, wait=0.001, attempt=0.001)
    assert "".join(await scene.texts(watch, model(hang=True))) == ""
    assert scene.health.failed == [("llm", LABEL, "no answer")]
    with pytest.raises(type(refusal(500))):
        await scene.texts(scene.watch(SILENT_LINES), model(then=refusal(500)))


@pytest.mark.parametrize(
    ("sound", "failed", "succeeded"),
    [(LOUD, [], ["tts"]), (SILENCE, [("tts", LABEL, "silent speech")], []), (SILENCE[:1000], [], [])],
)
async def test_silent_speech_is_failure(scene: WatchScene, sound: bytes, failed: Any, succeeded: Any) -> None:
    assert len([frame async for frame in scene.watch().speech(frames(sound), LABEL)]) == 1
    assert (scene.health.failed, scene.health.succeeded) == (failed, succeeded)


def test_failing_recognizer_is_heard_once_for_each_speech(scene: WatchScene) -> None:
    fake = FakeAgentSession()
    session: Any = fake
    scene.watch().watch(session)

    def fail(kind: str = "stt_error", *, recoverable: bool = False) -> None:
        fake.emit("error", error=SimpleNamespace(type=kind, recoverable=recoverable))

    fail()
    assert fake.said == [], "a recognizer that fails in silence"
    fake.emit("user_state_changed", new_state="speaking")
    fake.emit("user_state_changed", new_state="listening")
    fail("llm_error")
    fail(recoverable=True)
    assert fake.said == []
    fail()
    fail()
    assert fake.said == [ENGLISH.apology]
    fake.emit("user_state_changed", new_state="speaking")
    fail()
    assert fake.said == [ENGLISH.apology] * 2


@pytest.mark.parametrize(
    ("spec", "lines"),
    [
        (AgentSpec(), ENGLISH),
        (AgentSpec(tts=Provider(name="pico", voice="de-DE")), LINES["de"]),
        (AgentSpec(tts=Provider(name="openai", language="fr")), LINES["fr"]),
        (AgentSpec(stt=Provider(name="openai", language="pt-BR")), LINES["pt"]),
        (AgentSpec(tts=Provider(name="openai", voice="alloy", language="xx")), ENGLISH),
        (AgentSpec(wait_prompt="Hold on.", apology=""), SpokenLines("Hold on.", "")),
    ],
)
def test_spoken_lines_follow_agent_and_language(spec: AgentSpec, lines: SpokenLines) -> None:
    assert spoken_lines(spec) == lines
