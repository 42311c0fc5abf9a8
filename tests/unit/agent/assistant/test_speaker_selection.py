"""Selection of the human that the assistant hears, and greetings."""

from collections.abc import Callable
from typing import Any

import pytest
from voicesession_agent.assistant.speaker_selection import NOBODY, Greeter, SpeakerSelector
from voicesession_agent.job.humans import SPEAKER_SECONDS

from tests.support.fakes.room import AGENT, SIP, FakeAgentSession, FakeRoom


class SelectionScene:
    def __init__(self, greeted: set[str]) -> None:
        self.room, self.session = FakeRoom(), FakeAgentSession()
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.occupancy: list[bool] = []
        self.unreached: set[str] = set()
        """Humans gone before speech can reach them."""
        session: Any = self.session
        room: Any = self.room
        reporter: Any = self
        self.now = 0.0
        greeter = Greeter(self.say, reporter, "Hello.", greeted)
        self.selector = SpeakerSelector(room, session, greeter, self.occupancy.append, lambda: self.now)

    def speak(self, *identities: str) -> None:
        """Change the levels of participants, long after the last change."""
        self.now += SPEAKER_SECONDS
        self.room.speak(*identities)

    def say(self, text: str, identity: str, on_end: Callable[[bool], object]) -> None:
        is_present = identity not in self.unreached
        if is_present:
            self.session.say(text)
        on_end(is_present)

    def report(self, kind: str, **facts: Any) -> None:
        self.reports.append((kind, facts))


@pytest.fixture
def scene() -> SelectionScene:
    return SelectionScene(set())


def test_returning_human_is_linked_again_and_greeted_once(scene: SelectionScene) -> None:
    scene.selector.start()
    scene.room.join("alice")
    scene.room.leave("alice")
    scene.room.join("alice")
    assert scene.session.linked == ["alice", NOBODY, "alice"]
    assert scene.session.said == ["Hello."]
    assert scene.reports == [("greeted", {"identity": "alice"})]
    assert scene.occupancy == [True, False, True]


def test_human_gone_before_greeting_is_greeted_after_return(scene: SelectionScene) -> None:
    scene.selector.start()
    scene.unreached.add("alice")
    scene.room.join("alice")
    scene.room.leave("alice")
    assert (scene.session.said, scene.reports) == ([], [])
    scene.unreached.clear()
    scene.room.join("alice")
    assert scene.session.said == ["Hello."]
    assert scene.reports == [("greeted", {"identity": "alice"})]


def test_leave_of_linked_human_links_remaining_human(scene: SelectionScene) -> None:
    scene.selector.start()
    scene.room.join("alice")
    scene.room.join("bob")
    scene.room.leave("alice")
    assert scene.selector.linked == "bob"
    assert scene.occupancy == [True]


def test_start_links_human_already_in_room(scene: SelectionScene) -> None:
    scene.room.join("alice")
    scene.selector.start()
    assert (scene.selector.linked, scene.session.said) == ("alice", ["Hello."])


def test_human_greeted_by_previous_job_is_not_greeted_again() -> None:
    scene = SelectionScene({"alice"})
    scene.room.join("alice")
    scene.selector.start()
    assert (scene.selector.linked, scene.session.said) == ("alice", [])


def test_speaking_human_is_linked_while_the_linked_human_is_silent(scene: SelectionScene) -> None:
    scene.selector.start()
    scene.room.join("alice")
    scene.room.join("bob")
    scene.speak("alice", "bob")
    assert scene.selector.linked == "alice"
    scene.speak("bob")
    assert scene.selector.linked == "bob"
    scene.session.user_state = "speaking"
    scene.speak("alice")
    assert scene.selector.linked == "bob"


def test_linked_human_in_mid_sentence_stays_linked_while_another_makes_noise(scene: SelectionScene) -> None:
    """Each event of LiveKit lists only the participants whose level changed."""
    scene.selector.start()
    scene.room.join("alice")
    scene.room.join("bob")
    for _ in range(10):
        scene.speak("alice")
        scene.room.speak("agent")
        scene.now += SPEAKER_SECONDS / 2
        scene.room.speak("bob")
    assert scene.selector.linked == "alice"
    scene.now += SPEAKER_SECONDS / 2
    scene.room.speak("bob")
    assert scene.selector.linked == "bob"


def test_human_linked_by_speech_is_never_greeted(scene: SelectionScene) -> None:
    scene.selector.start()
    scene.room.join("alice")
    scene.room.join("bob")
    scene.room.join("carol")
    scene.speak("bob")
    scene.speak("alice")
    scene.room.leave("alice")
    assert scene.selector.linked == "bob"
    assert scene.session.said == ["Hello."]
    scene.room.leave("bob")
    assert scene.session.said == ["Hello.", "Hello."]
    assert [facts["identity"] for _, facts in scene.reports] == ["alice", "bob", "carol"]


def test_observer_is_not_heard_after_the_last_human_has_left(scene: SelectionScene) -> None:
    scene.selector.start()
    scene.room.join("carol", voicesession_role="observer")
    assert (scene.session.linked, scene.session.said) == ([], [])
    scene.room.join("alice")
    scene.room.leave("alice")
    scene.speak("carol")
    assert (scene.selector.linked, scene.session.linked) == ("", ["alice", NOBODY])


def test_human_with_new_role_of_observer_is_not_heard(scene: SelectionScene) -> None:
    scene.selector.start()
    scene.room.join("alice")
    scene.room.set_attributes("alice", voicesession_role="observer")
    assert (scene.selector.linked, scene.session.linked) == ("", ["alice", NOBODY])
    assert scene.occupancy == [True, False]


def test_agents_are_never_linked(scene: SelectionScene) -> None:
    scene.selector.start()
    scene.room.join("other", AGENT)
    scene.speak("other", "agent")
    assert (scene.selector.linked, scene.occupancy) == ("", [])


def test_human_with_self_written_role_is_linked_until_the_role_counts(scene: SelectionScene) -> None:
    scene.selector.start()
    alice: Any = scene.room.join("alice")
    alice.permissions.can_update_metadata = True
    alice.attributes = {"voicesession.role": "observer"}
    scene.room.emit("participant_attributes_changed", alice.attributes, alice)
    scene.room.join("bob")
    assert scene.selector.linked == "alice"
    alice.permissions.can_update_metadata = False
    scene.room.emit("participant_permissions_changed", alice, None, None)
    assert scene.selector.linked == "bob"


def test_ringing_phone_is_linked_unheard_and_greeted_when_call_is_active(scene: SelectionScene) -> None:
    scene.selector.start()
    scene.room.join("phone", SIP, sip_callStatus="dialing")
    scene.room.set_attributes("phone", sip_callStatus="ringing")
    scene.speak("phone")
    assert (scene.selector.linked, scene.session.audio) == ("phone", [False])
    assert (scene.session.said, scene.reports, scene.occupancy) == ([], [], [])
    scene.room.set_attributes("phone", sip_callStatus="automation")
    assert (scene.session.said, scene.session.audio, scene.occupancy) == ([], [False, True], [True])
    scene.room.set_attributes("phone", sip_callStatus="active")
    scene.room.set_attributes("phone", department="sales")
    assert scene.session.said == ["Hello."]
    assert scene.session.linked == ["phone"]


def test_rejected_call_is_never_greeted(scene: SelectionScene) -> None:
    scene.selector.start()
    scene.room.join("phone", SIP, sip_callStatus="ringing")
    scene.room.set_attributes("phone", sip_callStatus="hangup")
    assert (scene.selector.linked, scene.session.said, scene.occupancy) == ("", [], [])
    scene.room.leave("phone")
    scene.room.join("alice")
    assert (scene.selector.linked, scene.session.said, scene.session.audio) == ("alice", ["Hello."], [False, True])


def test_answered_human_is_linked_instead_of_ringing_phone(scene: SelectionScene) -> None:
    scene.selector.start()
    scene.room.join("phone", SIP, sip_callStatus="ringing")
    scene.room.join("alice")
    assert (scene.selector.linked, scene.session.audio) == ("alice", [False, True])
    scene.room.set_attributes("phone", sip_callStatus="active")
    assert (scene.selector.linked, scene.session.said) == ("alice", ["Hello."])


def test_inbound_call_without_status_is_greeted_at_join(scene: SelectionScene) -> None:
    scene.selector.start()
    scene.room.join("phone", SIP)
    assert (scene.session.said, scene.session.audio) == (["Hello."], [])


async def test_closed_selector_links_no_human(scene: SelectionScene) -> None:
    scene.selector.start()
    await scene.selector.close()
    scene.room.join("alice")
    scene.speak("alice")
    assert scene.session.linked == []
