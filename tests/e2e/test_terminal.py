"""`kubectl voice` on real sessions, and its doctor on a release that is broken in one way after the other."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hack.cluster import names, release
from tests.e2e import faults, objects
from tests.e2e.kubectl import Json, Kube
from tests.e2e.nodes import agent_pod
from tests.e2e.objects import RESET
from tests.e2e.trial import Trial
from tests.e2e.waiting import until

pytestmark = [pytest.mark.cluster]

LIVEKIT = f"{names.RELEASE}-livekit"
SCREENS = "TERMINAL_SCREENS"
"""A file for the screens of eight sessions, such as docs/terminal.md; without it they are only printed."""


def voice(*args: str, code: int = 0) -> str:
    """What the command prints. Raises AssertionError where it ends with another code."""
    command = [sys.executable, "-m", "voicesession_cli", *args, "--context", names.CONTEXT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def test_a_session_is_listed_described_reset_and_ended(trial: Trial) -> None:
    session = trial.ready("call")
    trial.visit("call")
    where = ("call", "-n", trial.namespace)

    (row,) = json.loads(voice("ls", "-n", trial.namespace, "-o", "json"))
    assert (row["name"], row["phase"], row["humans"], row["pod"]) == ("call", "Active", 1, session.pod)
    assert row["talkSeconds"] >= 0
    said = [moment["what"] for moment in json.loads(voice("describe", *where, "-o", "json"))["timeline"]]
    assert said[0] == "created"
    assert {"pod created", "pod ready", "ready", "first human in"} <= set(said)
    assert session.pod in voice("logs", *where, "-o", "json")

    node = agent_pod(trial.kube, session.pod, trial.namespace)["spec"]["nodeName"]
    calls = json.loads(voice("drain-check", node, "-o", "json", code=1))["calls"]
    assert [call["humans"] for call in calls if call["namespace"] == trial.namespace] == [1]

    assert json.loads(voice("reset", *where, "-o", "json"))["lastReset"]["cause"] == "Requested"
    assert json.loads(voice("end", *where, "-o", "json"))["endReason"] == "Requested"
    assert "finished" in voice("describe", *where)


def test_what_is_not_there_ends_with_1(trial: Trial) -> None:
    for command in ("describe", "logs", "reset", "end"):
        voice(command, "nobody", "-n", trial.namespace, code=1)
    voice("drain-check", "no-such-node", code=1)


def test_the_screens_of_eight_sessions(trial: Trial) -> None:
    trial.fake_agent("absent", FAKE_AGENT_JOIN="never")
    again = objects.fake_agent("again", trial.namespace)
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
    screens = [("ls",), ("describe", "anew"), ("describe", "over")]
    told = [f"$ kubectl voice {' '.join(s)}\n{voice(*s, '-n', trial.namespace)}" for s in screens]
    text = "# The terminal\n\n" + "\n".join(f"```text\n{screen}```\n" for screen in told)
    print(text)
    if SCREENS in os.environ:
        Path(os.environ[SCREENS]).write_text(text)


@pytest.mark.disruptive
def test_a_healthy_installation_is_all_green(trial: Trial) -> None:
    assert {verdict["state"] for verdict in diagnosis(0)} == {"OK"}


@pytest.mark.disruptive
@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("-operator-webhook.", "-nobody.", "LiveKit webhook URL"),
        ("auto_create: false", "auto_create: true", "LiveKit room.auto_create"),
    ],
)
def test_livekit_configured_wrongly(trial: Trial, old: str, new: str, check: str) -> None:
    with livekit_config(trial.kube, old, new):
        assert failing() == {check}
    diagnosis(0)


@pytest.mark.disruptive
def test_livekits_key_is_wrong(trial: Trial) -> None:
    with livekit_secret(trial.kube, "another-secret-of-thirty-two-characters"):
        assert failing() == {"LiveKit key", "webhook delivery"}
    diagnosis(0)


@pytest.mark.disruptive
def test_letta_is_down(trial: Trial) -> None:
    with faults.without(trial.kube, "letta"):
        assert failing() == {"Letta"}
    diagnosis(0)


@pytest.mark.disruptive
def test_a_definition_is_missing(trial: Trial) -> None:
    name = "voiceagents.voicesession.dev"
    trial.kube.run("delete", "crd", name, "--timeout=60s", timeout=90)
    try:
        assert f"definition {name}" in failing()
    finally:
        release.apply_definitions(print)
        faults.restart(trial.kube, "operator")
        release.start_example(print, anew=True)
    until(lambda: not [v for v in diagnosis(None) if v["state"] == "FAILED"], "all green", 60, poll=1.0)


def diagnosis(code: int | None) -> list[Json]:
    command = [sys.executable, "-m", "voicesession_cli", "doctor", "-o", "json", "--context", names.CONTEXT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert code in (None, done.returncode), f"{done.returncode}: {done.stdout}{done.stderr}"
    found: list[Json] = json.loads(done.stdout)
    return found


def failing() -> set[str]:
    return {verdict["check"] for verdict in diagnosis(1) if verdict["state"] == "FAILED" and verdict["mend"]}


@contextmanager
def livekit_config(kube: Kube, old: str, new: str) -> Iterator[None]:
    """Another text in LiveKit's ConfigMap; the server that runs has read the right one."""
    found = kube.get("configmap", LIVEKIT, names.NAMESPACE)
    assert found
    text: str = found["data"]["config.yaml"]
    assert old in text
    kube.patch("configmap", LIVEKIT, names.NAMESPACE, {"data": {"config.yaml": text.replace(old, new)}})
    try:
        yield
    finally:
        kube.patch("configmap", LIVEKIT, names.NAMESPACE, {"data": {"config.yaml": text}})


@contextmanager
def livekit_secret(kube: Kube, value: str) -> Iterator[None]:
    """Another secret under LiveKit's key; whatever runs has read the right one."""
    found = kube.get("secret", LIVEKIT, names.NAMESPACE)
    assert found
    wrong = base64.b64encode(value.encode()).decode()
    kube.patch("secret", LIVEKIT, names.NAMESPACE, {"data": {"LIVEKIT_API_SECRET": wrong}})
    try:
        yield
    finally:
        kube.patch("secret", LIVEKIT, names.NAMESPACE, {"data": found["data"]})
