"""RoomIO of livekit-agents as the assistant uses it: linked participants, their tracks, and text of everybody."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final
from unittest.mock import AsyncMock, create_autospec

import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, APIConnectOptions, JobContext, llm
from livekit.agents.testing import fake_job_context
from livekit.agents.voice.io import TextOutput
from livekit.agents.voice.room_io._input import _ParticipantAudioInputStream
from voicesession_agent import livekit_internals
from voicesession_agent.assistant.assistant import ROOM_OPTIONS, Assistant, People
from voicesession_agent.assistant.context_window import SUMMARY_NOTICE, ContextWindow
from voicesession_agent.assistant.idle_prompt import IdleMonitor
from voicesession_agent.assistant.provider_watch import ENGLISH, ProviderWatch
from voicesession_agent.assistant.speaker_selection import NOBODY, Audience
from voicesession_agent.assistant.text_input import TextInput
from voicesession_agent.job.health_monitor import HealthMonitor
from voicesession_agent.job.supervisor_client import SupervisorClient
from voicesession_agent.memory.backend import Block, digest
from voicesession_agent.protocol import JobFacts, Message
from voicesession_agent.settings import AgentSpec

from tests.support.async_polling import until

HEAR: Final = _ParticipantAudioInputStream._on_track_available


def fake_participant(identity: str, spec: type = rtc.RemoteParticipant) -> Any:
    """Return a participant of kind STANDARD without tracks."""
    participant = create_autospec(spec, instance=True)
    participant.identity, participant.attributes, participant.track_publications = identity, {}, {}
    participant.kind = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
    return participant


def connected_room(*identities: str) -> rtc.Room:
    """Return a room as after the connection of the agent, with other participants."""
    room = rtc.Room()
    room._local_participant = fake_participant("agent", rtc.LocalParticipant)
    room._remote_participants.update({identity: fake_participant(identity) for identity in identities})
    return room


@contextmanager
def job_context(room: rtc.Room) -> Iterator[JobContext]:
    """Make livekit-agents' own context of a job the current one."""
    with fake_job_context(room=room) as ctx:
        yield ctx
    ctx._tempdir.cleanup()


async def test_participant_is_linked_on_request_only() -> None:
    room = connected_room("carol")
    carol = room.remote_participants["carol"]
    linked = []
    with job_context(room):
        session: AgentSession[None] = AgentSession()
        await session.start(Agent(instructions=""), room=room, room_options=ROOM_OPTIONS)
        room.emit("participant_connected", carol)
        linked.append(session.room_io.linked_participant)
        for identity in ("carol", NOBODY):
            session.room_io.set_participant(identity)
            room.emit("participant_connected", carol)
            linked.append(session.room_io.linked_participant)
        await session.aclose()
    assert linked == [None, carol, None]


class RecordingModel(llm.LLM[Any]):
    """A model that keeps the last message and the instructions of each request, and answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []
        self.contexts: list[list[str]] = []

    def chat(self, *, chat_ctx: llm.ChatContext, tools: Any = None, conn_options: Any = None, **_: Any) -> Any:
        messages = [item.text_content or "" for item in chat_ctx.items if isinstance(item, llm.ChatMessage)]
        self.asked.append((messages[0], messages[-1]))
        self.contexts.append(messages)
        return Answer(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options or APIConnectOptions())


class Answer(llm.LLMStream):
    """The words of an answer."""

    async def _run(self) -> None:
        delta = llm.ChoiceDelta(role="assistant", content="I see.")
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))


class Supervisor:
    """A supervisor whose memory has one block."""

    def __init__(self) -> None:
        self.value = "old"

    async def job_facts(self) -> JobFacts:
        blocks = (Block("human", self.value),)
        return JobFacts(frozenset(), digest(blocks), blocks)


class Writer(TextOutput):
    """The written answers."""

    def __init__(self) -> None:
        super().__init__(label="test", next_in_chain=None)
        self.text = ""

    async def capture_text(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        return


def published_track(source: "rtc.TrackSource.ValueType", kind: "rtc.TrackKind.ValueType") -> tuple[Any, Any]:
    """Return a track and its publication."""
    track = create_autospec(rtc.RemoteTrack, instance=True)
    track.kind = kind
    publication = create_autospec(rtc.RemoteTrackPublication, instance=True)
    publication.source, publication.track, publication.sid = source, track, f"TR_{source}_{kind}"
    return track, publication


def typed(room: Any, identity: str, text: str) -> None:
    """Deliver a typed message as LiveKit's client does."""
    reader = create_autospec(rtc.TextStreamReader, instance=True)
    reader.__aiter__.return_value = [text]
    room._text_stream_handlers["lk.chat"](reader, identity)


async def test_typed_text_of_every_human_is_answered_in_writing_with_fresh_memory() -> None:
    """Nobody subscribes to the agent's track, so that RoomIO would hold the first answer back for ever."""
    room, supervisor, model, writer = connected_room("alice", "bob"), Supervisor(), RecordingModel(), Writer()
    client: Any = supervisor
    for participant in room.remote_participants.values():
        participant.permissions.can_update_metadata = False
        participant.name, participant.state = "", rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE
    with job_context(room):
        session: AgentSession[None] = AgentSession(llm=model)
        people = People(room, Audience(room, session, subscribe_seconds=0.0), lambda: "alice")
        idle = IdleMonitor(lambda: None, 0.0)
        facts = await supervisor.job_facts()
        watch = ProviderWatch(create_autospec(HealthMonitor, instance=True), ENGLISH)
        window, spec = ContextWindow(RecordingModel, lambda _: None), AgentSpec(instructions="Be brief.")
        assistant = Assistant(spec, client, facts, idle, people, watch, window)
        text_input = TextInput(room, assistant.answer_text)
        await session.start(assistant, room=room, room_options=ROOM_OPTIONS)
        session.output.transcription = writer
        text_input.start()
        session.room_io.set_participant("alice")
        supervisor.value = "new"
        for count, identity in enumerate(("bob", "alice"), 1):
            typed(room, identity, "Hello.")
            await until(lambda count=count: writer.text == "I see." * count)  # type: ignore[misc]
        speaks = session.output.audio_enabled
        await text_input.close()
        await session.aclose()
    assert not speaks
    assert [last for _, last in model.asked] == ["[bob] Hello.", "[alice] Hello."]
    assert all("<value>new</value>" in instructions for instructions, _ in model.asked)


async def test_audio_track_without_source_is_heard_until_microphone_is_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unnamed, microphone = rtc.TrackSource.SOURCE_UNKNOWN, rtc.TrackSource.SOURCE_MICROPHONE
    audio, video = rtc.TrackKind.KIND_AUDIO, rtc.TrackKind.KIND_VIDEO
    monkeypatch.setattr(_ParticipantAudioInputStream, "_on_track_available", HEAR)
    monkeypatch.setattr(_ParticipantAudioInputStream, "_create_stream", lambda *_: AsyncMock())
    livekit_internals.hear_unnamed_microphones()
    room = connected_room("alice")
    alice: Any = room.remote_participants["alice"]
    heard = []
    with job_context(room):
        session: AgentSession[None] = AgentSession()
        await session.start(Agent(instructions=""), room=room, room_options=ROOM_OPTIONS)
        session.room_io.set_participant("alice")
        hears: Any = session.room_io.audio_input
        for source, kind in ((unnamed, video), (unnamed, audio), (microphone, audio), (unnamed, audio)):
            track, publication = published_track(source, kind)
            alice.track_publications[publication.sid] = publication
            room.emit("track_subscribed", track, publication, alice)
            heard.append(hears.publication_source if hears._publication else None)
        await session.aclose()
    assert heard == [None, unnamed, microphone, microphone]


async def test_room_output_is_measured_below_no_other_output() -> None:
    room, connected = connected_room(), create_autospec(SupervisorClient, instance=True)
    with job_context(room):
        session: AgentSession[None] = AgentSession()
        monitor = HealthMonitor(room, connected, AsyncMock(), lambda: session, print)
        await session.start(Agent(instructions=""), room=room, room_options=ROOM_OPTIONS)
        output = session.output.audio
        monitor.watch_playback(session)
        meter = session.output.audio
        await session.aclose()
    assert output is not None
    assert meter is not None
    assert (meter.next_in_chain, meter.can_pause, meter.sample_rate) == (output, output.can_pause, output.sample_rate)


async def test_long_conversation_is_summarized_between_turns(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    room, supervisor, model, summarizer = connected_room("alice"), Supervisor(), RecordingModel(), RecordingModel()
    client: Any = supervisor
    with job_context(room):
        session: AgentSession[None] = AgentSession(llm=model)
        people = People(room, Audience(room, session, subscribe_seconds=0.0), lambda: "alice")
        history = tuple(Message("user", f"{number} " + "word " * 50) for number in range(100))
        facts = replace(await supervisor.job_facts(), history=history)
        watch = ProviderWatch(create_autospec(HealthMonitor, instance=True), ENGLISH)
        window, idle = ContextWindow(lambda: summarizer, lambda _: None), IdleMonitor(lambda: None, 0.0)
        spec = AgentSpec(instructions="Be brief.")
        await session.start(Assistant(spec, client, facts, idle, people, watch, window))
        await session.generate_reply(user_input="Hello.")
        await until(lambda: "is summarized" in caplog.text)
        await session.generate_reply(user_input="And now?")
        await session.aclose()
    assert SUMMARY_NOTICE not in model.contexts[0][1]
    assert model.contexts[1][1] == f"{SUMMARY_NOTICE}\nI see."
    assert model.contexts[1][-1] == "And now?"
    assert len(model.contexts[1]) < len(model.contexts[0])
    await window.close()
