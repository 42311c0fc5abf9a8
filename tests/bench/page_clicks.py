"""The time from a click on Connect, in a real browser on the release's page, until the agent is audible."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.cluster import constants
from tests.bench.figures import Section, distribution, percentile
from tests.support.cluster import gateway, manifests
from tests.support.cluster.kubectl import Kube
from tests.support.participants.browser import BrowserTab, microphone_recording, open_tab, wait_until_live
from tests.support.participants.spoken_turns import QUESTION
from tests.support.polling import until

LOAD_SECONDS = 20
START_SECONDS = 150
AUDIBLE_SECONDS = 30
OVER_SECONDS = 60
POOL = "clicks"
ASKED_WARM = 1.0
"""Seconds from a click until the agent is audible, p50, with a warm pod."""
STAGES = {
    "click -> token (the session is made and Ready)": ("clicked", "token"),
    "token -> in the room": ("token", "room"),
    "in the room -> agent's track": ("room", "track"),
    "agent's track -> audible": ("track", "audible"),
    "click -> audible": ("clicked", "audible"),
}
NOTE = (
    "Chromium with a fake microphone; the agent greets every human. The stages are the page's User Timing marks, "
    "the last one when the agent's audio is first louder than silence. Each round has its own session, and starts "
    "after the end of the previous session and its pod."
)


def run(rounds: int) -> Section:
    """Measure `rounds` calls without a warm pod, and as many with one."""
    kube = Kube()
    kube.apply(manifests.example_agent())
    kube.wait(f"voiceagent/{constants.EXAMPLE_AGENT}", "condition=Ready", constants.EXAMPLE_NAMESPACE, START_SECONDS)
    until(lambda: gateway.local().lists_agent(constants.EXAMPLE_AGENT), "the gateway lists the agent", LOAD_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        wav = microphone_recording(Path(folder), QUESTION)
        with open_tab(gateway.local().url, wav) as tab:
            tab.open(constants.EXAMPLE_AGENT)
            until(lambda: tab.agent() == "Agent_66", "the page has the agent", LOAD_SECONDS)
            cold = _measure(kube, tab, rounds)
            with _warm_pool(kube):
                warm = _measure(kube, tab, rounds)
    tables = [
        distribution("A session that starts cold, in s", cold),
        distribution("A session that claims a warm pod, in s", warm),
    ]
    slow = percentile(warm["click -> audible"], 50)
    misses = [f"warm: p50 {slow:.2f} s, asked {ASKED_WARM:g}"] if slow > ASKED_WARM else []
    return Section("clicking", "11. Click to voice", tables, [NOTE], misses)


def _measure(kube: Kube, tab: BrowserTab, rounds: int) -> dict[str, list[float]]:
    samples = {stage: list[float]() for stage in STAGES}
    for number in range(rounds):
        marks = _measure_one(kube, tab)
        for stage, (begin, end) in STAGES.items():
            samples[stage].append(max(0.0, marks[end] - marks[begin]) / 1000)
        print(f"  {number + 1}/{rounds}: audible after {samples['click -> audible'][-1]:.2f} s", flush=True)
    return samples


@contextmanager
def _warm_pool(kube: Kube) -> Iterator[None]:
    """Let the example agent have one warm pod before each round."""
    kube.apply(manifests.pool(POOL, constants.EXAMPLE_NAMESPACE, constants.EXAMPLE_AGENT, warm={"min": 1}))
    try:
        until(lambda: _is_warm(kube), "a warm pod", START_SECONDS)
        yield
    finally:
        kube.delete("voicepool", POOL, constants.EXAMPLE_NAMESPACE)


def _is_warm(kube: Kube) -> bool:
    """Return whether a warm pod waits; without a pool, none has to."""
    pool = kube.get("voicepool", POOL, constants.EXAMPLE_NAMESPACE)
    return pool is None or bool(pool.get("status", {}).get("warm"))


def _measure_one(kube: Kube, tab: BrowserTab) -> dict[str, float]:
    tab.press_button("Connect")
    wait_until_live(tab, START_SECONDS)
    name = until(tab.session, "the session's name", LOAD_SECONDS)
    until(lambda: "audible" in tab.marks(), "the agent is audible", AUDIBLE_SECONDS)
    marks = tab.marks()
    tab.press_button("Disconnect")
    until(lambda: _is_over(kube, name), f"the end of {name}", OVER_SECONDS)
    until(lambda: _is_warm(kube), "a warm pod", START_SECONDS)
    return marks


def _is_over(kube: Kube, name: str) -> bool:
    """Return whether the session is Finished and its pod gone, so that the next round starts on an idle machine."""
    session = kube.session(name, constants.EXAMPLE_NAMESPACE)
    if session is None:
        return True
    return session.is_true("Finished") and kube.get("pod", session.pod, constants.EXAMPLE_NAMESPACE) is None
