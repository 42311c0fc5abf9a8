"""How events are written: what they say, and how many there may be."""

from typing import Any

from voicesession_operator.adapters.allowance import AT_ONCE, Allowance
from voicesession_operator.adapters.kube import Resource
from voicesession_operator.adapters.recorder import Recorder
from voicesession_operator.domain.actions import Event

from tests.builders import T0
from tests.unit.shell import raw
from tests.unit.shell.counting import counted


class Sink:
    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    async def create(self, resource: Resource, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        return body


async def test_moments_are_annotations_to_the_millisecond() -> None:
    sink = Sink()
    event = Event("Normal", "Ready", "is there", (("voicesession.dev/bound-at", T0 + 1.25),))
    await Recorder(sink, "operator-0", lambda: T0 + 2.4).record("VoiceSession", raw.session(), event)
    (body,) = sink.bodies
    assert body["metadata"]["annotations"] == {
        "voicesession.dev/at": "2025-11-22T23:20:02.400Z",
        "voicesession.dev/bound-at": "2025-11-22T23:20:01.250Z",
    }
    assert (body["lastTimestamp"], body["reason"]) == ("2025-11-22T23:20:02Z", "Ready")


async def test_who_comes_and_goes_all_day_hides_nothing_else() -> None:
    sink = Sink()
    recorder = Recorder(sink, "operator-0", lambda: T0)
    with counted() as rise:
        for _ in range(AT_ONCE + 5):
            await recorder.record("VoiceSession", raw.session(), Event("Normal", "HumanJoined", "1"))
        await recorder.record("VoiceSession", raw.session(), Event("Normal", "Finished", "over"))
        await recorder.record("VoiceSession", raw.session(uid="another"), Event("Normal", "HumanJoined", "1"))
    reasons = [body["reason"] for body in sink.bodies]
    assert (reasons.count("HumanJoined"), reasons.count("Finished")) == (AT_ONCE + 1, 1)
    assert rise.of("voicesession_events_lost_total") == 5


def test_one_more_is_allowed_each_minute() -> None:
    allowance = Allowance()
    assert all(allowance.take("kind", T0) for _ in range(AT_ONCE))
    assert [allowance.take("kind", T0 + at) for at in (0, 59, 60, 61, 180, 181, 182)] == [
        False,
        False,
        True,
        False,
        True,
        True,
        False,
    ]


def test_of_more_kinds_than_it_has_room_for_the_oldest_is_forgotten() -> None:
    allowance = Allowance(capacity=1)
    while allowance.take("kind", T0):
        pass
    assert allowance.take("another", T0)
    assert allowance.take("kind", T0)
