"""Upgrade, rollback and uninstallation under a live call, with the commands of docs/operations. Runs last."""

from dataclasses import dataclass

import pytest

from hack.cluster import constants, release
from tests.support.cluster import operator_pods
from tests.support.cluster.helm import helm
from tests.support.cluster.kubectl import Kube
from tests.support.cluster.rooms import LiveKit, connect
from tests.support.cluster.scenario import Trial
from tests.support.documents.blocks import named
from tests.support.documents.reader import at_the_cluster
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.disruptive, pytest.mark.release, pytest.mark.timeout(900)]


@pytest.fixture
def livekit(kube: Kube) -> LiveKit:
    """With the key of now: one of these tests changes it."""
    operator_pods.leader(kube)
    return connect(kube)


def secrets(kube: Kube) -> dict[str, object]:
    """The data of every Secret of the release; Helm's own records change with each revision."""
    found = kube.all("secrets", constants.NAMESPACE, "owner!=helm")
    return {secret["metadata"]["name"]: secret.get("data") for secret in found}


def operator_uids(kube: Kube) -> set[str]:
    return {pod["metadata"]["uid"] for pod in operator_pods.pods(kube)}


def operators_without_image(kube: Kube) -> list[str]:
    """Names of the operator's pods that wait for an image that nobody has."""
    waiting = [
        (pod["metadata"]["name"], status["state"].get("waiting", {}).get("reason"))
        for pod in operator_pods.pods(kube)
        for status in pod["status"].get("containerStatuses", ())
    ]
    return [name for name, reason in waiting if reason in ("ErrImagePull", "ImagePullBackOff")]


@dataclass(frozen=True)
class LiveCall:
    """What must be the same whatever is done to the release: who is in the room, since when, and every Secret."""

    participants: dict[str, str]
    ready: object
    humans: int
    secrets: dict[str, object]

    @classmethod
    def of(cls, trial: Trial) -> "LiveCall":
        session = trial.session("call")
        there = {identity: p.sid for identity, p in trial.livekit.participants(session.room).items()}
        return cls(there, session.condition("Ready"), session.status["humans"], secrets(trial.kube))


def test_upgrade_keeps_live_call(trial: Trial) -> None:
    trial.ready("call")
    trial.visit("call")
    before, replaced = LiveCall.of(trial), operator_uids(trial.kube)

    with at_the_cluster(trial.kube) as reader:
        reader.add_value("operator", {"logLevel": "DEBUG"})
        reader.run(named("upgrade"))
    until(lambda: operator_pods.all_ready(trial.kube), "both operators", 120)

    assert replaced.isdisjoint(operator_uids(trial.kube))
    assert LiveCall.of(trial) == before
    assert before.humans == 1


def test_rollback_restores_failed_upgrade(trial: Trial) -> None:
    trial.ready("call")
    trial.visit("call")
    before, leading = LiveCall.of(trial), operator_uids(trial.kube)
    helm("upgrade", constants.RELEASE, str(constants.CHART), "--reuse-values", "--set", "operator.image.tag=absent")
    stuck = until(lambda: operators_without_image(trial.kube), "an operator without an image", 120)

    with at_the_cluster(trial.kube) as reader:
        reader.run(named("roll-back"))
    until(lambda: operator_pods.all_ready(trial.kube), "both operators", 120)

    assert not set(stuck) & {pod["metadata"]["name"] for pod in operator_pods.pods(trial.kube)}
    assert operator_uids(trial.kube) == leading
    assert LiveCall.of(trial) == before


def test_livekit_key_rotation_admits_new_sessions(kube: Kube, namespace: str) -> None:
    before = connect(kube).key
    with at_the_cluster(kube) as reader:
        reader.run(named("new-key"))
    until(lambda: operator_pods.all_ready(kube), "both operators", 120)

    again = Trial(kube, connect(kube), namespace)
    assert again.livekit.key != before
    again.fake_agent()
    again.ready("call")


def test_uninstall_with_live_call_completes_and_reinstall_works(trial: Trial) -> None:
    trial.ready("call")
    trial.visit("call")
    kept = secrets(trial.kube)
    with at_the_cluster(trial.kube) as reader:
        try:
            reader.run(named("uninstall"))
            until(lambda: not trial.pods(), "no agent pod", 60)
            for left in trial.kube.all("voicesessions"):
                assert not left["metadata"].get("finalizers")
            trial.kube.delete("voicesession", "call", trial.namespace, "--timeout=20s")
            assert not trial.kube.all("deployments", constants.NAMESPACE)
            reader.run(named("install"))
        finally:
            release.install(print)
            release.start_example(print, recreate=True)

    again = Trial(trial.kube, connect(trial.kube), trial.namespace)
    again.ready("again")
    new = secrets(trial.kube)
    assert {name: new[name] for name in kept if "postgres" in name} == {n: kept[n] for n in kept if "postgres" in n}


def test_uninstall_leftovers_are_removable(kube: Kube) -> None:
    with at_the_cluster(kube) as reader:
        try:
            reader.run(named("uninstall"))
            reader.run(named("remove-the-rest"))
            assert not [crd for crd in kube.all("crds") if crd["spec"]["group"] == "voicesession.dev"]
            assert secrets(kube) == {}
            assert not kube.all("persistentvolumeclaims", constants.NAMESPACE)
        finally:
            release.apply_crds(print)
            release.install(print)
            release.start_example(print, recreate=True)
