"""The status write: a status that the CRD refuses is stored in part."""

from collections.abc import Callable

import pytest
from voicesession_common import JsonObject
from voicesession_common.errors import TerminalError
from voicesession_common.kube_client import Resource
from voicesession_operator.controller.cache import Cache, ResourceKind
from voicesession_operator.controller.status_writer import write_status

from tests.support import operator_objects
from tests.support.fakes.reconciler_world import FakeEventRecorder, FakeKubernetes

FINISHED: JsonObject = {
    "phase": "Finished",
    "finishedAt": "2025-11-22T23:20:12Z",
    "endReason": "FromTheFuture",
    "humans": 0,
    "conditions": [
        {
            "type": "Ready",
            "status": "False",
            "reason": "Finished",
            "message": "The session is finished",
            "lastTransitionTime": "2025-11-22T23:20:12Z",
        }
    ],
}


class StrictKubernetes(FakeKubernetes):
    """Refuses a status for which `refuses` is True."""

    def __init__(self, refuses: Callable[[JsonObject], object], reason: str = "Invalid") -> None:
        super().__init__()
        self._refuses, self._reason = refuses, reason

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, version: str, status: JsonObject
    ) -> JsonObject:
        if self._refuses(status):
            self._write("refused")
            raise TerminalError(self._reason, "status.conditions.2.message: Too long")
        return await super().patch_status(resource, namespace, name, version, status)


async def write(kube: FakeKubernetes, recorder: FakeEventRecorder, status: JsonObject) -> JsonObject:
    """Write the status of a new session and return the stored status."""
    raw = kube.put("voicesessions", operator_objects.session())
    await write_status(kube, recorder, Cache(), ResourceKind.SESSION, raw, status)
    found: JsonObject = kube.objects["voicesessions", "hello"]["status"]
    return found


def has_message(status: JsonObject) -> bool:
    return any(condition["message"] for condition in status["conditions"])


async def test_refused_messages_are_left_out() -> None:
    recorder = FakeEventRecorder()
    stored = await write(StrictKubernetes(has_message), recorder, FINISHED)
    assert stored == {**FINISHED, "conditions": [{**FINISHED["conditions"][0], "message": ""}]}
    assert [(event.type, event.reason, event.message) for event in recorder.events] == [
        ("Warning", "StatusRefused", "status.conditions.2.message: Too long")
    ]


async def test_refused_end_reason_keeps_the_time_of_the_end() -> None:
    stored = await write(StrictKubernetes(lambda status: "endReason" in status), FakeEventRecorder(), FINISHED)
    condition = {"type": "Ready", "status": "False", "lastTransitionTime": FINISHED["finishedAt"]}
    assert stored == {"phase": "Finished", "finishedAt": FINISHED["finishedAt"], "conditions": [condition]}


async def test_refused_decision_is_not_stored_in_part() -> None:
    unfinished = {name: value for name, value in FINISHED.items() if name != "finishedAt"}
    with pytest.raises(TerminalError):
        await write(StrictKubernetes(lambda status: "endReason" in status), FakeEventRecorder(), unfinished)


async def test_forbidden_write_is_not_repeated() -> None:
    kube = StrictKubernetes(lambda _: True, reason="Forbidden")
    with pytest.raises(TerminalError):
        await write(kube, FakeEventRecorder(), FINISHED)
    assert kube.writes == ["refused"]
