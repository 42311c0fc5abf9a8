"""The uninstall hook: deletion of all sessions, retries, and the deadline."""

from voicesession_common.errors import RetryableError
from voicesession_operator.uninstall import delete_all

from tests.support import operator_objects
from tests.support.fakes.reconciler_world import FakeKubernetes


async def test_delete_all_deletes_every_session() -> None:
    kube = FakeKubernetes()
    kube.put("voicesessions", operator_objects.session())
    kube.put("voicesessions", operator_objects.session(name="other", uid="other"))
    assert await delete_all(kube, ())
    assert kube.objects == {}
    assert kube.writes == ["delete voicesessions"] * 2


async def test_delete_all_retries_after_an_outage() -> None:
    kube = FakeKubernetes()
    kube.put("voicesessions", operator_objects.session())
    kube.errors["list voicesessions"] = RetryableError("KubernetesUnavailable", "down")
    assert await delete_all(kube, ())
    assert kube.objects == {}


async def test_delete_all_gives_up_at_the_deadline() -> None:
    kube = FakeKubernetes()
    stuck = operator_objects.session()
    stuck["metadata"]["deletionTimestamp"] = "2025-11-22T23:20:11Z"
    kube.put("voicesessions", stuck)
    assert not await delete_all(kube, (), deadline_seconds=0.6)
