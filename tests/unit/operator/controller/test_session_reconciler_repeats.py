"""The reconciler of sessions and actions that succeed without a visible effect."""

import pytest
from voicesession_common import JsonObject
from voicesession_operator.domain.observed import RETRY_SECONDS

from tests.support.builders import ROOM, bound
from tests.support.fakes.reconciler_world import ReconcilerWorld
from tests.unit.operator.controller.test_session_reconciler import ready_world


async def test_created_but_unlisted_room_is_requested_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    world = ReconcilerWorld()
    created: list[str] = []

    async def create_unseen(name: str, metadata: str, max_participants: int) -> None:
        created.append(name)

    monkeypatch.setattr(world.rooms, "create_room", create_unseen)
    for reconciles in (1, 2):
        requeue_after = await world.reconcile()
        assert len(created) == reconciles
        assert requeue_after is not None
        assert 1 < requeue_after <= RETRY_SECONDS
    assert world.kube.writes.count("create pods") == 1


async def test_deleted_but_listed_room_is_requested_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await ready_world()
    deleted: list[str] = []

    async def delete_unseen(name: str) -> None:
        deleted.append(name)

    monkeypatch.setattr(world.rooms, "delete_room", delete_unseen)
    world.change_spec(end=True)
    await world.reconcile()
    requeue_after = await world.reconcile()
    assert deleted == [ROOM]
    assert requeue_after is not None
    assert 0.5 < requeue_after <= RETRY_SECONDS


async def test_desired_state_without_effect_is_sent_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a pod of a custom image accept each desired state and change nothing."""
    world = ReconcilerWorld()
    await world.reconcile()
    world.change_pod(phase="Running", podIP="10.0.0.1")
    world.pods.states[world.pod()["metadata"]["uid"]] = bound(state="Unbound", session_uid="", participant_sid="")
    sent: list[JsonObject] = []

    async def ignore(ip: str, pod_uid: str, desired: JsonObject) -> None:
        sent.append(desired)

    monkeypatch.setattr(world.pods, "put_state", ignore)
    requeue_after = await world.reconcile()
    assert len(sent) == 1
    assert requeue_after is not None
    assert 0 < requeue_after <= RETRY_SECONDS
