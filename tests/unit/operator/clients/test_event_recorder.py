"""Kubernetes events: their content and the rate limit."""

from voicesession_common import JsonObject
from voicesession_common.bounds import TokenBuckets
from voicesession_common.kube_client import Resource
from voicesession_operator.clients.event_recorder import EVENT_RATE, EventRecorder
from voicesession_operator.domain.actions import Event

from tests.support import operator_objects
from tests.support.builders import T0
from tests.support.metric_changes import counted


class FakeEvents:
    def __init__(self) -> None:
        self.bodies: list[JsonObject] = []

    async def create(self, resource: Resource, namespace: str, body: JsonObject) -> JsonObject:
        self.bodies.append(body)
        return body


async def test_event_times_become_annotations_in_milliseconds() -> None:
    kube = FakeEvents()
    event = Event("Normal", "Ready", "is there", (("voicesession.dev/example-at", T0 + 1.25),))
    await EventRecorder(kube, "operator-0", lambda: T0 + 2.4).record("VoiceSession", operator_objects.session(), event)
    (body,) = kube.bodies
    assert body["metadata"]["annotations"] == {
        "voicesession.dev/at": "2025-11-22T23:20:02.400Z",
        "voicesession.dev/example-at": "2025-11-22T23:20:01.250Z",
    }
    assert (body["lastTimestamp"], body["reason"]) == ("2025-11-22T23:20:02Z", "Ready")


async def test_rate_limit_applies_per_reason_and_object() -> None:
    kube = FakeEvents()
    recorder = EventRecorder(kube, "operator-0", lambda: T0)
    joined = Event("Normal", "HumanJoined", "1")
    with counted() as rise:
        for _ in range(EVENT_RATE.burst + 5):
            await recorder.record("VoiceSession", operator_objects.session(), joined)
        await recorder.record("VoiceSession", operator_objects.session(), Event("Normal", "Finished", "over"))
        await recorder.record("VoiceSession", operator_objects.session(uid="another"), joined)
    reasons = [body["reason"] for body in kube.bodies]
    assert (reasons.count("HumanJoined"), reasons.count("Finished")) == (EVENT_RATE.burst + 1, 1)
    assert rise.of("voicesession_events_lost_total") == 5


def test_event_rate_after_burst_allows_an_event_a_minute() -> None:
    buckets = TokenBuckets(EVENT_RATE)
    assert all(buckets.take("kind", T0) == 0 for _ in range(EVENT_RATE.burst))
    allowed = [buckets.take("kind", T0 + at) == 0 for at in (0, 59, 60, 61, 180, 181, 182)]
    assert allowed == [False, False, True, False, True, True, False]
