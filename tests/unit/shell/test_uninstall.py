"""The uninstall hook: every session is asked to go, and waited for, but not for ever."""

from voicesession_operator.adapters.errors import Retryable
from voicesession_operator.uninstall import end_all

from tests.unit.shell import raw
from tests.unit.shell.outside import Kube


async def test_every_session_goes() -> None:
    kube = Kube()
    kube.put("voicesessions", raw.session())
    kube.put("voicesessions", raw.session(name="other", uid="other"))
    assert await end_all(kube, ())
    assert kube.objects == {}
    assert kube.writes == ["delete voicesessions"] * 2


async def test_an_outage_is_sat_out() -> None:
    kube = Kube()
    kube.put("voicesessions", raw.session())
    kube.errors["list voicesessions"] = Retryable("KubernetesUnavailable", "down")
    assert await end_all(kube, ())
    assert kube.objects == {}


async def test_what_does_not_go_is_not_waited_for_for_ever() -> None:
    kube = Kube()
    stuck = raw.session()
    stuck["metadata"]["deletionTimestamp"] = "2025-11-22T23:20:11Z"
    kube.put("voicesessions", stuck)
    assert not await end_all(kube, (), deadline_seconds=0.6)
