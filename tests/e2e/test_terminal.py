"""`kubectl voice` on real sessions, and `kubectl voice doctor` on a release with one fault at a time."""

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
from tests.support.cluster.scenario import Scenario
from tests.support.polling import until

pytestmark = [pytest.mark.cluster]

LIVEKIT = f"{constants.RELEASE}-livekit"
SCREENS = "TERMINAL_SCREENS"
"""Environment variable with a file for the screens, such as docs/operations/screens.md; without it they are printed."""


def voice(*args: str, code: int = 0) -> str:
    """Run the CLI and return its output; raise AssertionError for another exit code."""
    command = [sys.executable, "-m", "voicesession_cli", *args, "--context", constants.CONTEXT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def test_cli_lists_describes_resets_and_ends_session(scenario: Scenario) -> None:
    session = scenario.start_session("call", grace=600, reconnect_grace=600)
    alice = scenario.join_human("call")
    where = ("call", "-n", scenario.namespace)

    (row,) = json.loads(voice("ls", "-n", scenario.namespace, "-o", "json"))
    assert (row["name"], row["phase"], row["humans"], row["pod"]) == ("call", "Active", 1, session.pod)
    assert row["talkSeconds"] >= 0
    until(lambda: "first human in" in timeline(where), "the first visit in the timeline", 30)
    steps = timeline(where)
    assert steps[0] == "created"
    assert in_order(steps, "created", "pod created", "bound", "joined", "ready", "first human in")
    assert "pod ready" in steps
    assert session.pod in voice("logs", *where, "-o", "json")

    node = agent_pod(scenario.kube, session.pod, scenario.namespace)["spec"]["nodeName"]
    calls = json.loads(voice("drain-check", node, "-o", "json", code=1))["calls"]
    assert [call["humans"] for call in calls if call["namespace"] == scenario.namespace] == [1]

    (server,) = scenario.kube.all("pods", constants.NAMESPACE, "app.kubernetes.io/component=livekit")
    report = json.loads(voice("drain-check", server["spec"]["nodeName"], "-o", "json", code=1))
    assert report["livekit"] == [f"{constants.NAMESPACE}/{server['metadata']['name']}"]
    assert report["cutOffWithLiveKit"]["humans"] >= 1

    assert json.loads(voice("reset", *where, "-o", "json"))["lastReset"]["cause"] == "Requested"
    alice.leave()
    until(lambda: "last human out" in timeline(where), "the end of the visit in the timeline", 30)
    scenario.join_human("call", "bob")
    until(lambda: "human in" in timeline(where), "the next visit in the timeline", 30)
    assert json.loads(voice("end", *where, "-o", "json"))["endReason"] == "Requested"
    steps = timeline(where)
    assert in_order(steps, "first human in", "reset 1 started", "reset 1 ended", "human in", "finished")
    assert "Requested" in voice("describe", *where).splitlines()[-1]


def timeline(where: tuple[str, ...]) -> list[str]:
    """Return the events of the session's timeline."""
    return [moment["what"] for moment in json.loads(voice("describe", *where, "-o", "json"))["timeline"]]


def in_order(events: list[str], *expected: str) -> bool:
    """Return whether the expected events occur in this order."""
    rest = iter(events)
    return all(event in rest for event in expected)


def test_cli_commands_for_missing_objects_exit_with_1(scenario: Scenario) -> None:
    for command in ("describe", "logs", "reset", "end"):
        voice(command, "nobody", "-n", scenario.namespace, code=1)
    voice("drain-check", "no-such-node", code=1)


def test_cli_screens_show_eight_sessions(scenario: Scenario) -> None:
    scenario.apply_fake_agent("absent", FAKE_AGENT_JOIN="never")
    again = manifests.fake_agent("again", scenario.namespace)
    scenario.kube.apply({**again, "spec": {**again["spec"], "onLastHumanLeft": RESET}})
    scenario.apply_session("pending", "nobody")
    scenario.apply_session("starting", "absent")
    for name in ("waiting", "talking", "second-talk", "left", "over"):
        scenario.start_session(name, **({"grace": 600, "reconnect_grace": 600} if name == "left" else {}))
    scenario.start_session("restarted", "again", grace=0)
    for name in ("talking", "second-talk"):
        scenario.join_human(name)
    for name in ("left", "restarted"):
        scenario.join_human(name, "bob").leave()
    scenario.wait_for_reset("restarted", 1)
    voice("end", "over", "-n", scenario.namespace)

    def phases() -> bool:
        rows = json.loads(voice("ls", "-n", scenario.namespace, "-o", "json"))
        expected = {"Pending", "Starting", "Ready", "Active", "Grace", "Finished"}
        return len(rows) == 8 and {row["phase"] for row in rows} == expected

    until(phases, "eight sessions of six phases", 60, poll=1.0)
    until(
        lambda: "human out" in timeline(("restarted", "-n", scenario.namespace)),
        "the end of the visit in the timeline",
        30,
    )
    screens = [("ls",), ("describe", "restarted"), ("describe", "over")]
    shown = [voice(*screen, "-n", scenario.namespace) for screen in screens]
    blocks = [f"$ kubectl voice {' '.join(s)}\n{printed}" for s, printed in zip(screens, shown, strict=True)]
    text = "# Screens of the terminal\n\n" + "\n".join(f"```text\n{block}```\n" for block in blocks)
    print(text)
    if SCREENS in os.environ:
        Path(os.environ[SCREENS]).write_text(text)
    restarted, ended = (printed.splitlines() for printed in shown[1:])
    steps = ("created", "pod created", "bound", "joined", "ready")
    visit = ("first human in", "human out", "reset 1 started", "reset 1 ended")
    assert in_order([event_of(line) for line in restarted], "TIME", *steps, *visit)
    assert in_order([event_of(line) for line in ended], "TIME", *steps, "finished")
    assert any(line.startswith("Ready ") and " True " in line for line in restarted)
    assert any(line.startswith("Finished ") and "spec.end was set" in line for line in ended)
    assert re.fullmatch(r"PHASE +Finished \(Requested\)", ended[3])
    assert re.search(r"Complete after \d+\.\d{3}s$", restarted[-1])


def event_of(line: str) -> str:
    """Return the event of a timeline's line, or the first cell of another line."""
    cells = re.split(r" {2,}", line)
    return cells[3] if re.fullmatch(r"[\d:.]{12}", cells[0]) else cells[0]


@pytest.mark.disruptive
def test_doctor_reports_healthy_installation(scenario: Scenario) -> None:
    assert {check["state"] for check in diagnosis(0)} == {"OK"}


@pytest.mark.slow
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
def test_doctor_finds_wrong_livekit_configuration(scenario: Scenario, old: str, new: str, check: str) -> None:
    """Simulate an edit of the ConfigMap; the doctor also reports that the server runs with another configuration."""
    with livekit_config(scenario.kube, old, new):
        assert failing() == {check, "LiveKit running configuration"}
    diagnosis(0)


@pytest.mark.slow
@pytest.mark.disruptive
def test_doctor_finds_wrong_livekit_key(scenario: Scenario) -> None:
    """Simulate it by a change of the Secret, which the doctor uses; the running programs have the right key."""
    with livekit_secret(scenario.kube, "another-secret-of-thirty-two-characters"):
        assert failing() == {"LiveKit key", "webhook delivery"}
    diagnosis(0)


@pytest.mark.slow
@pytest.mark.disruptive
def test_doctor_finds_letta_outage(scenario: Scenario) -> None:
    with faults.without(scenario.kube, "letta"):
        assert failing() == {"Letta"}
    diagnosis(0)


@pytest.mark.slow
@pytest.mark.disruptive
def test_doctor_finds_gateway_outage(scenario: Scenario) -> None:
    with faults.without(scenario.kube, "gateway"):
        assert failing() == {"gateway"}
    diagnosis(0)


@pytest.mark.slow
@pytest.mark.disruptive
def test_doctor_finds_missing_operator(scenario: Scenario) -> None:
    states = {check["check"]: check["state"] for check in diagnosis(1, "--operator-namespace", scenario.namespace)}
    assert states.pop("operator") == "FAILED"
    assert set(states.values()) == {"OK"}, "the CRDs"


@pytest.mark.slow
@pytest.mark.disruptive
def test_doctor_finds_missing_crd(scenario: Scenario) -> None:
    name = "voiceagents.voicesession.dev"
    scenario.kube.run("delete", "crd", name, "--timeout=60s", timeout=90)
    try:
        assert f"definition {name}" in failing()
    finally:
        release.apply_crds(print)
        faults.restart(scenario.kube, "operator")
        release.start_example(print, recreate=True)
    until(lambda: not [c for c in diagnosis(None) if c["state"] == "FAILED"], "all checks pass", 60, poll=1.0)


def diagnosis(code: int | None, *flags: str) -> list[Json]:
    """Run the doctor and return its checks; `code` is the expected exit code, None for any."""
    command = [sys.executable, "-m", "voicesession_cli", "doctor", "-o", "json", "--context", constants.CONTEXT, *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert code in (None, done.returncode), f"{done.returncode}: {done.stdout}{done.stderr}"
    found: list[Json] = json.loads(done.stdout)
    return found


def failing() -> set[str]:
    """Return the names of failed checks that propose a fix."""
    return {check["check"] for check in diagnosis(1) if check["state"] == "FAILED" and check["fix"]}


@contextmanager
def livekit_config(kube: Kube, old: str, new: str) -> Iterator[None]:
    """Replace a text in LiveKit's ConfigMap; the running server keeps its configuration."""
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
    """Replace the secret of LiveKit's key; the running programs keep the right one."""
    found = kube.get("secret", LIVEKIT, constants.NAMESPACE)
    assert found
    wrong = base64.b64encode(value.encode()).decode()
    kube.patch("secret", LIVEKIT, constants.NAMESPACE, {"data": {"LIVEKIT_API_SECRET": wrong}})
    try:
        yield
    finally:
        kube.patch("secret", LIVEKIT, constants.NAMESPACE, {"data": found["data"]})
