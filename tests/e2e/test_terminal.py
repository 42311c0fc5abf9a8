"""`kubectl voice` on real sessions, and its doctor on a release that is broken in one way after the other."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hack.cluster import constants, release
from tests.support.cluster import faults, manifests
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.manifests import RESET
from tests.support.cluster.nodes import agent_pod
from tests.support.cluster.scenario import Trial
from tests.support.polling import until

pytestmark = [pytest.mark.cluster]

LIVEKIT = f"{constants.RELEASE}-livekit"
SCREENS = "TERMINAL_SCREENS"
"""A file for the screens of eight sessions, such as docs/operations/screens.md; without it they are only printed."""


def voice(*args: str, code: int = 0) -> str:
    """What the command prints. Raises AssertionError where it ends with another code."""
    command = [sys.executable, "-m", "voicesession_cli", *args, "--context", constants.CONTEXT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def test_a_session_is_listed_described_reset_and_ended(trial: Trial) -> None:
    session = trial.ready("call", grace=600, reconnect_grace=600)
    alice = trial.visit("call")
    where = ("call", "-n", trial.namespace)

    (row,) = json.loads(voice("ls", "-n", trial.namespace, "-o", "json"))
    assert (row["name"], row["phase"], row["humans"], row["pod"]) == ("call", "Active", 1, session.pod)
    assert row["talkSeconds"] >= 0
    until(lambda: "first human in" in happened(where), "her visit in the timeline", 30)
    said = happened(where)
    assert said[0] == "created"
    assert in_order(said, "created", "pod created", "bound", "joined", "ready", "first human in")
    assert "pod ready" in said
    assert session.pod in voice("logs", *where, "-o", "json")

    node = agent_pod(trial.kube, session.pod, trial.namespace)["spec"]["nodeName"]
    calls = json.loads(voice("drain-check", node, "-o", "json", code=1))["calls"]
    assert [call["humans"] for call in calls if call["namespace"] == trial.namespace] == [1]

    (server,) = trial.kube.all("pods", constants.NAMESPACE, "app.kubernetes.io/component=livekit")
    told = json.loads(voice("drain-check", server["spec"]["nodeName"], "-o", "json", code=1))
    assert told["livekit"] == [f"{constants.NAMESPACE}/{server['metadata']['name']}"]
    assert told["cutOffWithLiveKit"]["humans"] >= 1

    assert json.loads(voice("reset", *where, "-o", "json"))["lastReset"]["cause"] == "Requested"
    alice.leave()
    until(lambda: "last human out" in happened(where), "her leaving in the timeline", 30)
    trial.visit("call", "bob")
    until(lambda: "human in" in happened(where), "the next visit in the timeline", 30)
    assert json.loads(voice("end", *where, "-o", "json"))["endReason"] == "Requested"
    said = happened(where)
    assert in_order(said, "first human in", "reset 1 started", "reset 1 ended", "human out", "human in", "finished")
    assert said.count("human out") == 1, "who is sent out by the end has not left"
    assert "Requested" in voice("describe", *where).splitlines()[-1]


def happened(where: tuple[str, ...]) -> list[str]:
    return [moment["what"] for moment in json.loads(voice("describe", *where, "-o", "json"))["timeline"]]


def in_order(said: list[str], *wanted: str) -> bool:
    """Whether these are among what was said, in this order."""
    rest = iter(said)
    return all(what in rest for what in wanted)


def test_what_is_not_there_ends_with_1(trial: Trial) -> None:
    for command in ("describe", "logs", "reset", "end"):
        voice(command, "nobody", "-n", trial.namespace, code=1)
    voice("drain-check", "no-such-node", code=1)


def test_the_screens_of_eight_sessions(trial: Trial) -> None:
    trial.fake_agent("absent", FAKE_AGENT_JOIN="never")
    again = manifests.fake_agent("again", trial.namespace)
    trial.kube.apply({**again, "spec": {**again["spec"], "onLastHumanLeft": RESET}})
    trial.start("pending", "nobody")
    trial.start("starting", "absent")
    for name in ("waiting", "talking", "second-talk", "left", "over"):
        trial.ready(name, **({"grace": 600, "reconnect_grace": 600} if name == "left" else {}))
    trial.ready("anew", "again", grace=0)
    for name in ("talking", "second-talk"):
        trial.visit(name)
    for name in ("left", "anew"):
        trial.visit(name, "bob").leave()
    trial.reset_complete("anew", 1)
    voice("end", "over", "-n", trial.namespace)

    def phases() -> bool:
        rows = json.loads(voice("ls", "-n", trial.namespace, "-o", "json"))
        wanted = {"Pending", "Starting", "Ready", "Active", "Grace", "Finished"}
        return len(rows) == 8 and {row["phase"] for row in rows} == wanted

    until(phases, "eight sessions of six phases", 60, poll=1.0)
    until(lambda: "human out" in happened(("anew", "-n", trial.namespace)), "her leaving in the timeline", 30)
    screens = [("ls",), ("describe", "anew"), ("describe", "over")]
    shown = [voice(*screen, "-n", trial.namespace) for screen in screens]
    told = [f"$ kubectl voice {' '.join(s)}\n{printed}" for s, printed in zip(screens, shown, strict=True)]
    text = "# Screens of the terminal\n\n" + "\n".join(f"```text\n{screen}```\n" for screen in told)
    print(text)
    if SCREENS in os.environ:
        Path(os.environ[SCREENS]).write_text(text)
    anew, over = (printed.splitlines() for printed in shown[1:])
    steps = ("created", "pod created", "bound", "joined", "ready")
    visit = ("first human in", "human out", "reset 1 started", "reset 1 ended")
    assert in_order([what(line) for line in anew], "TIME", *steps, *visit)
    assert in_order([what(line) for line in over], "TIME", *steps, "finished")
    assert any(line.startswith("Ready ") and " True " in line for line in anew)
    assert any(line.startswith("Finished ") and "spec.end was set" in line for line in over)
    assert re.fullmatch(r"PHASE +Finished \(Requested\)", over[3])
    assert re.search(r"Complete after \d+\.\d{3}s$", anew[-1])


def what(line: str) -> str:
    """Of a line of a timeline what happened; of any other its first cell."""
    cells = re.split(r" {2,}", line)
    return cells[3] if re.fullmatch(r"[\d:.]{12}", cells[0]) else cells[0]


@pytest.mark.disruptive
def test_a_healthy_installation_is_all_green(trial: Trial) -> None:
    assert {verdict["state"] for verdict in diagnosis(0)} == {"OK"}


@pytest.mark.disruptive
@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("-operator-webhook.", "-nobody.", "LiveKit webhook URL"),
        ("auto_create: false", "auto_create: true", "LiveKit room.auto_create"),
        ("get_list_participants: true", "get_list_participants: false", "LiveKit participant lists"),
        ("room_finished, ", "", "LiveKit webhook events"),
    ],
)
def test_livekit_configured_wrongly(trial: Trial, old: str, new: str, check: str) -> None:
    """Simulated: the ConfigMap says it, as after an edit by hand; that the server has read another one is told, too."""
    with livekit_config(trial.kube, old, new):
        assert failing() == {check, "LiveKit running configuration"}
    diagnosis(0)


@pytest.mark.disruptive
def test_livekits_key_is_wrong(trial: Trial) -> None:
    """Simulated: the Secret alone has another one, with which the doctor asks; whatever runs has read the right one."""
    with livekit_secret(trial.kube, "another-secret-of-thirty-two-characters"):
        assert failing() == {"LiveKit key", "webhook delivery"}
    diagnosis(0)


@pytest.mark.disruptive
def test_letta_is_down(trial: Trial) -> None:
    with faults.without(trial.kube, "letta"):
        assert failing() == {"Letta"}
    diagnosis(0)


@pytest.mark.disruptive
def test_the_gateway_is_down(trial: Trial) -> None:
    with faults.without(trial.kube, "gateway"):
        assert failing() == {"gateway"}
    diagnosis(0)


@pytest.mark.disruptive
def test_there_is_no_operator_where_it_is_looked_for(trial: Trial) -> None:
    said = {verdict["check"]: verdict["state"] for verdict in diagnosis(1, "--operator-namespace", trial.namespace)}
    assert said.pop("operator") == "FAILED"
    assert set(said.values()) == {"OK"}, "the definitions"


@pytest.mark.disruptive
def test_a_definition_is_missing(trial: Trial) -> None:
    name = "voiceagents.voicesession.dev"
    trial.kube.run("delete", "crd", name, "--timeout=60s", timeout=90)
    try:
        assert f"definition {name}" in failing()
    finally:
        release.apply_crds(print)
        faults.restart(trial.kube, "operator")
        release.start_example(print, recreate=True)
    until(lambda: not [v for v in diagnosis(None) if v["state"] == "FAILED"], "all green", 60, poll=1.0)


def diagnosis(code: int | None, *flags: str) -> list[Json]:
    command = [sys.executable, "-m", "voicesession_cli", "doctor", "-o", "json", "--context", constants.CONTEXT, *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert code in (None, done.returncode), f"{done.returncode}: {done.stdout}{done.stderr}"
    found: list[Json] = json.loads(done.stdout)
    return found


def failing() -> set[str]:
    return {verdict["check"] for verdict in diagnosis(1) if verdict["state"] == "FAILED" and verdict["fix"]}


@contextmanager
def livekit_config(kube: Kube, old: str, new: str) -> Iterator[None]:
    """Another text in LiveKit's ConfigMap; the server that runs has read the right one."""
    found = kube.get("configmap", LIVEKIT, constants.NAMESPACE)
    assert found
    text: str = found["data"]["config.yaml"]
    assert old in text
    kube.patch("configmap", LIVEKIT, constants.NAMESPACE, {"data": {"config.yaml": text.replace(old, new)}})
    try:
        yield
    finally:
        kube.patch("configmap", LIVEKIT, constants.NAMESPACE, {"data": {"config.yaml": text}})


@contextmanager
def livekit_secret(kube: Kube, value: str) -> Iterator[None]:
    """Another secret under LiveKit's key; whatever runs has read the right one."""
    found = kube.get("secret", LIVEKIT, constants.NAMESPACE)
    assert found
    wrong = base64.b64encode(value.encode()).decode()
    kube.patch("secret", LIVEKIT, constants.NAMESPACE, {"data": {"LIVEKIT_API_SECRET": wrong}})
    try:
        yield
    finally:
        kube.patch("secret", LIVEKIT, constants.NAMESPACE, {"data": found["data"]})
