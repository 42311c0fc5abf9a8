"""The release itself: upgraded under a live call, removed under a live session. Runs last, for it takes all down."""

import subprocess

import pytest

from hack.cluster import names, release
from tests.e2e import operators
from tests.e2e.kubectl import Kube, program
from tests.e2e.rooms import connect
from tests.e2e.trial import Trial
from tests.e2e.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


def helm(*command: str, seconds: float = 300) -> str:
    done = subprocess.run(
        [program("helm"), *command, "--kube-context", names.CONTEXT, "--namespace", names.NAMESPACE],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def secrets(kube: Kube) -> dict[str, object]:
    """The data of every Secret of the release; Helm's own records change with each revision."""
    found = kube.all("secrets", names.NAMESPACE, "owner!=helm")
    return {secret["metadata"]["name"]: secret.get("data") for secret in found}


def test_a_live_call_goes_on_through_an_upgrade(trial: Trial) -> None:
    session = trial.ready("call")
    trial.visit("call")
    before = {identity: p.sid for identity, p in trial.livekit.participants(session.room).items()}
    secret = secrets(trial.kube)
    replaced = {pod["metadata"]["uid"] for pod in operators.pods(trial.kube)}

    helm("upgrade", names.RELEASE, str(names.CHART), "--reuse-values", "--set", "operator.logLevel=DEBUG", "--wait")
    until(lambda: operators.all_ready(trial.kube), "both operators", 120)

    assert replaced.isdisjoint(pod["metadata"]["uid"] for pod in operators.pods(trial.kube))
    assert {identity: p.sid for identity, p in trial.livekit.participants(session.room).items()} == before
    assert trial.session("call").condition("Ready") == session.condition("Ready")
    assert trial.session("call").status["humans"] == 1
    assert secrets(trial.kube) == secret


def test_an_uninstall_hangs_nowhere_and_an_install_works_again(trial: Trial) -> None:
    trial.ready("call")
    trial.visit("call")
    kept = secrets(trial.kube)
    try:
        helm("uninstall", names.RELEASE, "--wait", "--timeout", "180s")
        until(lambda: not trial.pods(), "no agent pod", 60)
        for left in trial.kube.all("voicesessions"):
            assert not left["metadata"].get("finalizers")
        trial.kube.delete("voicesession", "call", trial.namespace, "--timeout=20s")
        assert not trial.kube.all("deployments", names.NAMESPACE)
    finally:
        release.install(print)
        release.start_example(print, anew=True)

    again = Trial(trial.kube, connect(trial.kube), trial.namespace)
    again.ready("again")
    new = secrets(trial.kube)
    assert {name: new[name] for name in kept if "postgres" in name} == {n: kept[n] for n in kept if "postgres" in n}
