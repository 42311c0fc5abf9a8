"""How events are written: what they say, and how many there may be."""

from typing import Any

from voicesession_common.kube_client import Resource
from voicesession_common.rate_limit import TokenBuckets
from voicesession_operator.clients.event_recorder import EVENT_RATE, Recorder
from voicesession_operator.domain.actions import Event

from tests.support import operator_objects
from tests.support.builders import T0
from tests.support.metric_changes import counted


class Sink:
    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    async def create(self, resource: Resource, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        return body


async def test_moments_are_annotations_to_the_millisecond() -> None:
    sink = Sink()
    event = Event("Normal", "Ready", "is there", (("voicesession.dev/bound-at", T0 + 1.25),))
    await Recorder(sink, "operator-0", lambda: T0 + 2.4).record("VoiceSession", operator_objects.session(), event)
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
        for _ in range(EVENT_RATE.burst + 5):
            await recorder.record("VoiceSession", operator_objects.session(), Event("Normal", "HumanJoined", "1"))
        await recorder.record("VoiceSession", operator_objects.session(), Event("Normal", "Finished", "over"))
        await recorder.record(
            "VoiceSession", operator_objects.session(uid="another"), Event("Normal", "HumanJoined", "1")
        )
    reasons = [body["reason"] for body in sink.bodies]
    assert (reasons.count("HumanJoined"), reasons.count("Finished")) == (EVENT_RATE.burst + 1, 1)
    assert rise.of("voicesession_events_lost_total") == 5


def test_event_rate_after_burst_allows_one_event_a_minute() -> None:
    buckets = TokenBuckets(EVENT_RATE)
    assert all(buckets.take("kind", T0) == 0 for _ in range(EVENT_RATE.burst))
    allowed = [buckets.take("kind", T0 + at) == 0 for at in (0, 59, 60, 61, 180, 181, 182)]
    assert allowed == [False, False, True, False, True, True, False]
