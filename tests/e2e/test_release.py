"""The release during a live call: upgrade, rollback, new key and uninstall with the commands of docs/operations.

These tests run last, because they change or remove the release of all other tests.
"""

from dataclasses import dataclass

import pytest

from hack.cluster import constants, release
from tests.support.cluster import operator_pods
from tests.support.cluster.helm import helm
from tests.support.cluster.kubectl import Kube
from tests.support.cluster.rooms import LiveKit, connect
from tests.support.cluster.scenario import Scenario
from tests.support.documents.blocks import named
from tests.support.documents.reader import at_the_cluster
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.disruptive, pytest.mark.release, pytest.mark.timeout(900)]


@pytest.fixture
def livekit(kube: Kube) -> LiveKit:
    """Return a client with the current key, which a test of this module changes."""
    operator_pods.leader(kube)
    return connect(kube)


def secrets(kube: Kube) -> dict[str, object]:
    """Return the data of every Secret of the release, without Helm's records of revisions."""
    found = kube.all("secrets", constants.NAMESPACE, "owner!=helm")
    return {secret["metadata"]["name"]: secret.get("data") for secret in found}


def operator_uids(kube: Kube) -> set[str]:
    """Return the UIDs of the operator's pods."""
    return {pod["metadata"]["uid"] for pod in operator_pods.pods(kube)}


def operators_without_image(kube: Kube) -> list[str]:
    """Return the names of operator pods that wait for a missing image."""
    waiting = [
        (pod["metadata"]["name"], status["state"].get("waiting", {}).get("reason"))
        for pod in operator_pods.pods(kube)
        for status in pod["status"].get("containerStatuses", ())
    ]
    return [name for name, reason in waiting if reason in ("ErrImagePull", "ImagePullBackOff")]


@dataclass(frozen=True)
class LiveCall:
    """State that no change of the release may affect: participants, the Ready condition, humans and Secrets."""

    participants: dict[str, str]
    ready: object
    humans: int
    secrets: dict[str, object]

    @classmethod
    def read(cls, scenario: Scenario) -> "LiveCall":
        """Return the current state of the session `call`."""
        session = scenario.session("call")
        sids = {identity: p.sid for identity, p in scenario.livekit.participants(session.room).items()}
        return cls(sids, session.condition("Ready"), session.status["humans"], secrets(scenario.kube))


def test_upgrade_keeps_live_call(scenario: Scenario) -> None:
    scenario.start_session("call")
    scenario.join_human("call")
    before, replaced = LiveCall.read(scenario), operator_uids(scenario.kube)

    with at_the_cluster(scenario.kube) as reader:
        reader.add_value("operator", {"logLevel": "DEBUG"})
        reader.run(named("upgrade"))
    until(lambda: operator_pods.all_ready(scenario.kube), "both operators", 120)

    assert replaced.isdisjoint(operator_uids(scenario.kube))
    assert LiveCall.read(scenario) == before
    assert before.humans == 1


@pytest.mark.slow
def test_rollback_restores_failed_upgrade(scenario: Scenario) -> None:
    scenario.start_session("call")
    scenario.join_human("call")
    before, leading = LiveCall.read(scenario), operator_uids(scenario.kube)
    helm("upgrade", constants.RELEASE, str(constants.CHART), "--reuse-values", "--set", "operator.image.tag=absent")
    stuck = until(lambda: operators_without_image(scenario.kube), "an operator without an image", 120)

    with at_the_cluster(scenario.kube) as reader:
        reader.run(named("roll-back"))
    until(lambda: operator_pods.all_ready(scenario.kube), "both operators", 120)

    assert not set(stuck) & {pod["metadata"]["name"] for pod in operator_pods.pods(scenario.kube)}
    assert operator_uids(scenario.kube) == leading
    assert LiveCall.read(scenario) == before


@pytest.mark.slow
def test_livekit_key_rotation_admits_new_sessions(kube: Kube, namespace: str) -> None:
    before = connect(kube).key
    with at_the_cluster(kube) as reader:
        reader.run(named("new-key"))
    until(lambda: operator_pods.all_ready(kube), "both operators", 120)

    again = Scenario(kube, connect(kube), namespace)
    assert again.livekit.key != before
    again.apply_fake_agent()
    again.start_session("call")


def test_uninstall_with_live_call_completes_and_reinstall_works(scenario: Scenario) -> None:
    scenario.start_session("call")
    scenario.join_human("call")
    kept = secrets(scenario.kube)
    with at_the_cluster(scenario.kube) as reader:
        try:
            reader.run(named("uninstall"))
            until(lambda: not scenario.agent_pods(), "no agent pod", 60)
            for left in scenario.kube.all("voicesessions"):
                assert not left["metadata"].get("finalizers")
            scenario.kube.delete("voicesession", "call", scenario.namespace, "--timeout=20s")
            assert not scenario.kube.all("deployments", constants.NAMESPACE)
            reader.run(named("install"))
        finally:
            release.install(print)
            release.start_example(print, recreate=True)

    again = Scenario(scenario.kube, connect(scenario.kube), scenario.namespace)
    again.start_session("again")
    new = secrets(scenario.kube)
    assert {name: new[name] for name in kept if "postgres" in name} == {n: kept[n] for n in kept if "postgres" in n}


@pytest.mark.slow
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
