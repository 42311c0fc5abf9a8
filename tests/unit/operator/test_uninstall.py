"""The uninstall hook: every session is asked to go, and waited for, but not for ever."""

from voicesession_common.errors import RetryableError
from voicesession_operator.uninstall import end_all

from tests.support import operator_objects
from tests.support.fakes.reconciler_world import Kube


async def test_every_session_goes() -> None:
    kube = Kube()
    kube.put("voicesessions", operator_objects.session())
    kube.put("voicesessions", operator_objects.session(name="other", uid="other"))
    assert await end_all(kube, ())
    assert kube.objects == {}
    assert kube.writes == ["delete voicesessions"] * 2


async def test_an_outage_is_sat_out() -> None:
    kube = Kube()
    kube.put("voicesessions", operator_objects.session())
    kube.errors["list voicesessions"] = RetryableError("KubernetesUnavailable", "down")
    assert await end_all(kube, ())
    assert kube.objects == {}


async def test_what_does_not_go_is_not_waited_for_for_ever() -> None:
    kube = Kube()
    stuck = operator_objects.session()
    stuck["metadata"]["deletionTimestamp"] = "2025-11-22T23:20:11Z"
    kube.put("voicesessions", stuck)
    assert not await end_all(kube, (), deadline_seconds=0.6)
