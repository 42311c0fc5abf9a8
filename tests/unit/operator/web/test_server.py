"""The leader's label, which directs LiveKit's webhooks to the leader."""

import asyncio

import pytest
from voicesession_common import JsonObject
from voicesession_common.api.constants import LEADER_LABEL
from voicesession_common.errors import NotFoundError, RetryableError
from voicesession_common.kube_client import Resource
from voicesession_operator.web.server import keep_leader_label, label_leader, remove_own_label

from tests.support.async_polling import until


class LabeledPods:
    """Pods of the release by name, with whether each has the leader's label; `fail_next` refuses one list."""

    def __init__(self, **labeled: bool) -> None:
        self.labeled = labeled
        self.patches = 0
        self.fail_next = False

    async def list(self, resource: Resource, namespace: str = "", selector: str = "") -> tuple[list[JsonObject], str]:
        assert selector == f"app.kubernetes.io/instance=demo,{LEADER_LABEL}=true"
        if self.fail_next:
            self.fail_next = False
            raise RetryableError("KubernetesUnavailable", "down")
        return [{"metadata": {"name": name}} for name, labeled in self.labeled.items() if labeled], "1"

    async def patch(self, resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject:
        self.patches += 1
        if name not in self.labeled:
            raise NotFoundError("NotFound", "no pod")
        self.labeled[name] = body["metadata"]["labels"][LEADER_LABEL] == "true"
        return {}


async def test_leader_label_moves_to_the_leader() -> None:
    pods = LabeledPods(a=True, b=False, c=True)
    await label_leader(pods, "system", "demo", "b")
    assert pods.labeled == {"a": False, "b": True, "c": False}


async def test_right_leader_label_is_not_written_again() -> None:
    pods = LabeledPods(a=False, b=True)
    await label_leader(pods, "system", "demo", "b")
    assert pods.patches == 0


async def test_changed_leader_label_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicesession_operator.web.server.LABEL_CHECK_SECONDS", 0.01)
    monkeypatch.setattr("voicesession_operator.web.server.LABEL_RETRY_SECONDS", 0.01)
    pods = LabeledPods(a=False, b=False)
    keeping = asyncio.create_task(keep_leader_label(pods, "system", "demo", "b"))
    await until(lambda: pods.labeled["b"])
    pods.fail_next = True
    pods.labeled = {"a": True, "b": False}
    await until(lambda: pods.labeled == {"a": False, "b": True})
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_own_label_is_removed() -> None:
    pods = LabeledPods(a=True, b=True)
    await remove_own_label(pods, "system", "b")
    assert pods.labeled == {"a": True, "b": False}


async def test_own_label_without_an_answer_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicesession_operator.web.server.LABEL_RETRY_SECONDS", 0.01)
    pods = LabeledPods(a=True)

    async def never(resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject:
        await asyncio.Event().wait()
        return {}

    pods.patch = never  # type: ignore[method-assign]
    await remove_own_label(pods, "system", "a")
    assert pods.labeled == {"a": True}
