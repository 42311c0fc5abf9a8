"""Whom the assistant hears and greets."""

from typing import Any

import pytest
from voicesession_agent.assistant.assistant import Greeter
from voicesession_agent.assistant.speaker_selection import SpeakerSelector

from tests.support.fakes.room import AGENT, FakeAgentSession, FakeRoom


class Scene:
    def __init__(self, greeted: set[str]) -> None:
        self.room, self.session = FakeRoom(), FakeAgentSession()
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.there: list[bool] = []
        session: Any = self.session
        room: Any = self.room
        self.welcome = Greeter(session, self, "Hello.", greeted)  # type: ignore[arg-type]
        self.listener = SpeakerSelector(room, session, self.welcome, self.welcome.met, self.there.append)

    def report(self, kind: str, **facts: Any) -> None:
        self.reports.append((kind, facts))


@pytest.fixture
def scene() -> Scene:
    return Scene(set())


def test_it_turns_to_whoever_comes_and_greets_her_once(scene: Scene) -> None:
    scene.listener.start()
    scene.room.comes("alice")
    scene.room.goes("alice")
    scene.room.comes("alice")
    assert scene.session.linked == ["alice", "alice"]
    assert scene.session.said == ["Hello."]
    assert scene.reports == [("greeted", {"identity": "alice"})]
    assert scene.there == [True, False, True]


def test_a_new_identity_is_heard_too(scene: Scene) -> None:
    scene.listener.start()
    scene.room.comes("alice")
    scene.room.comes("bob")
    scene.room.goes("alice")
    assert scene.listener.linked == "bob"
    assert scene.there == [True]


def test_a_new_job_finds_who_is_there_already(scene: Scene) -> None:
    scene.room.comes("alice")
    scene.listener.start()
    assert (scene.listener.linked, scene.session.said) == ("alice", ["Hello."])


def test_a_job_that_takes_over_does_not_greet_again() -> None:
    scene = Scene({"alice"})
    scene.room.comes("alice")
    scene.listener.start()
    assert (scene.listener.linked, scene.session.said) == ("alice", [])


def test_of_two_it_hears_the_one_who_speaks(scene: Scene) -> None:
    scene.listener.start()
    scene.room.comes("alice")
    scene.room.comes("bob")
    scene.room.speak("alice", "bob")
    assert scene.listener.linked == "alice"
    scene.room.speak("bob")
    assert scene.listener.linked == "bob"
    scene.session.user_state = "speaking"
    scene.room.speak("alice")
    assert scene.listener.linked == "bob"


def test_who_has_been_talking_already_is_not_greeted_when_the_other_leaves(scene: Scene) -> None:
    scene.listener.start()
    scene.room.comes("alice")
    scene.room.comes("bob")
    scene.room.comes("carol")
    scene.room.speak("bob")
    scene.room.speak("alice")
    scene.room.goes("alice")
    assert scene.listener.linked == "bob"
    assert scene.session.said == ["Hello."]
    scene.room.goes("bob")
    assert scene.session.said == ["Hello.", "Hello."]
    assert [facts["identity"] for _, facts in scene.reports] == ["alice", "bob", "carol"]


def test_agents_are_not_listened_to(scene: Scene) -> None:
    scene.listener.start()
    scene.room.comes("other", AGENT)
    scene.room.speak("other", "agent")
    assert (scene.listener.linked, scene.there) == ("", [])


async def test_once_closed_it_turns_to_nobody(scene: Scene) -> None:
    scene.listener.start()
    await scene.listener.close()
    scene.room.comes("alice")
    scene.room.speak("alice")
    assert scene.session.linked == []
