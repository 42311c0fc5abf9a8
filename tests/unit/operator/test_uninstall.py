"""The uninstall hook: deletion of all sessions, retries, and the deadline."""

import asyncio

import pytest
from voicesession_common import JsonObject
from voicesession_common.errors import ExternalError, NotFoundError, RetryableError, TerminalError, from_kubernetes
from voicesession_common.kube_client import Resource
from voicesession_operator.uninstall import delete_all

from tests.support import operator_objects
from tests.support.async_polling import until
from tests.support.fakes.reconciler_world import FakeKubernetes


class RefusingKubernetes(FakeKubernetes):
    """Refuses the lists of namespace `team-a`."""

    def __init__(self, error: ExternalError) -> None:
        super().__init__()
        self._error = error

    async def list(self, resource: Resource, namespace: str = "", selector: str = "") -> tuple[list[JsonObject], str]:
        if namespace == "team-a":
            raise self._error
        return await super().list(resource, namespace, selector)


class PlainNotFoundKubernetes(FakeKubernetes):
    """Answers some requests with a 404 that has no Status, as the API server does for a kind without a CRD."""

    def __init__(self, requests: set[str]) -> None:
        super().__init__()
        self._requests = requests

    async def list(self, resource: Resource, namespace: str = "", selector: str = "") -> tuple[list[JsonObject], str]:
        if f"list {resource.plural}" in self._requests:
            raise from_kubernetes(404, {})
        return await super().list(resource, namespace, selector)


async def test_delete_all_deletes_every_session() -> None:
    kube = FakeKubernetes()
    kube.put("voicesessions", operator_objects.session())
    kube.put("voicesessions", operator_objects.session(name="other", uid="other"))
    assert await delete_all(kube, (), settle_seconds=0)
    assert kube.objects == {}
    assert kube.writes == ["delete voicesessions"] * 2


async def test_delete_all_deletes_pools_before_sessions() -> None:
    kube = FakeKubernetes()
    kube.put("voicesessions", operator_objects.session())
    kube.put("voicepools", operator_objects.pool())
    assert await delete_all(kube, (), settle_seconds=0)
    assert kube.writes == ["delete voicepools", "delete voicesessions"]


async def test_delete_all_works_without_the_definition_of_pools() -> None:
    kube = PlainNotFoundKubernetes({"list voicepools"})
    kube.put("voicesessions", operator_objects.session())
    assert await delete_all(kube, (), settle_seconds=0)
    assert kube.objects == {}


async def test_delete_all_retries_after_an_outage() -> None:
    kube = FakeKubernetes()
    kube.put("voicesessions", operator_objects.session())
    kube.errors["list voicesessions"] = RetryableError("KubernetesUnavailable", "down")
    assert await delete_all(kube, (), settle_seconds=0)
    assert kube.objects == {}


async def test_delete_all_gives_up_at_the_deadline() -> None:
    kube = FakeKubernetes()
    stuck = operator_objects.session()
    stuck["metadata"]["deletionTimestamp"] = "2025-11-22T23:20:11Z"
    kube.put("voicesessions", stuck)
    assert not await delete_all(kube, (), deadline_seconds=0.6)


async def test_delete_all_waits_for_agent_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicesession_operator.uninstall.POLL_SECONDS", 0.001)
    kube = FakeKubernetes()
    kube.put("voicesessions", operator_objects.session())
    pod = kube.put("pods", operator_objects.pod())
    deleting = asyncio.create_task(delete_all(kube, (), settle_seconds=0))
    await until(lambda: kube.lists.count("pods") > 1)
    assert not deleting.done()
    del kube.objects["pods", pod["metadata"]["name"]]
    assert await deleting


async def test_delete_all_gives_up_on_pods_at_the_deadline() -> None:
    kube = FakeKubernetes()
    kube.put("pods", operator_objects.pod())
    assert not await delete_all(kube, (), deadline_seconds=0.6)


@pytest.mark.parametrize(("sessions", "expected"), [(0, [0]), (1, [0.001, 7.0])])
async def test_delete_all_leaves_time_for_rooms_of_deleted_sessions(
    monkeypatch: pytest.MonkeyPatch, sessions: int, expected: list[float]
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("voicesession_operator.uninstall.POLL_SECONDS", 0.001)
    kube = FakeKubernetes()
    for number in range(sessions):
        kube.put("voicesessions", operator_objects.session(name=f"s{number}", uid=f"u{number}"))
    assert await delete_all(kube, (), settle_seconds=7.0, sleep=sleep)
    assert waits == expected


@pytest.mark.parametrize(
    ("error", "seconds", "done"),
    [
        (TerminalError("Forbidden", "no Role there"), 40, True),
        (NotFoundError("NotFound", "gone"), 40, True),
        (RetryableError("Timeout", "slow"), 0.1, False),
    ],
)
async def test_delete_all_passes_over_an_unreadable_namespace(error: ExternalError, seconds: float, done: bool) -> None:
    kube = RefusingKubernetes(error)
    kube.put("voicesessions", operator_objects.session())
    assert await delete_all(kube, ("team-a", "team-b"), deadline_seconds=seconds, settle_seconds=0) is done
    assert kube.objects == {}


@pytest.mark.parametrize(("proxied", "done"), [((), True), (("list pods",), False)])
async def test_delete_all_without_the_crd_is_done(proxied: tuple[str, ...], done: bool) -> None:
    """Let a proxy give the same answer to every list in the second case."""
    kube = PlainNotFoundKubernetes({"list voicesessions", *proxied})
    assert await delete_all(kube, (), deadline_seconds=0.1, settle_seconds=0) is done


async def test_delete_all_without_rights_in_the_cluster_fails() -> None:
    kube = FakeKubernetes()
    kube.errors["list voicesessions"] = TerminalError("Forbidden", "no ClusterRole")
    kube.put("voicesessions", operator_objects.session())
    assert not await delete_all(kube, (), deadline_seconds=0.1)
