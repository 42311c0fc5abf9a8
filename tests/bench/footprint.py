"""Memory and CPU of agent pods: idle in a pool, and with one job in a room."""

import os
import time

from tests.bench.environment import BenchEnvironment, bench_environment
from tests.bench.figures import Section, Table
from tests.support.cluster import manifests, nodes
from tests.support.cluster.kubectl import Json
from tests.support.cluster.pod_processes import Survey, node_of, survey
from tests.support.polling import until

MIB = 2**20
LONGEST = 180
POOL = "front"
REST_SECONDS = 10
"""The end of a start is over."""
UTIME, STIME = 11, 12
"""Positions of the times in user and kernel mode, counted from the third field."""
ASKED_EMBEDDED, ASKED_REMOTE, ASKED_IDLE = 330.0, 180.0, 300.0
ASKED_IDLE_CORES = 0.005
BEFORE = {"embedded": 483, "idle": 411}
"""PSS in MiB on 2026-11-28, when the fork server was a program of its own; the job was 20 min old."""


def run(rounds: int) -> Section:
    """Measure; `rounds` is the number of seconds for which the idle pod's CPU is measured."""
    rows, misses = [], []
    for name, changes, asked in (("embedded engines", {}, ASKED_EMBEDDED), ("remote providers", None, ASKED_REMOTE)):
        with bench_environment("footprint") as env:
            given = _remote(env) if changes is None else changes
            env.example_agent("memory", **given)
            session = env.scenario.start_session("call", "agent-66")
            env.scenario.join_human("call")
            found = _survey(env, session.pod)
            env.kube.delete("voicesession", "call", env.scenario.namespace)
            env.scenario.wait_until_empty()
        rows.append(_row(f"one job in the room (Teardown), {name}", found, BEFORE.get(name.split()[0])))
        misses += _missed(f"one job with {name}", found, asked)
    with bench_environment("footprint-idle") as env:
        env.example_agent("memory")
        env.kube.apply(manifests.pool(POOL, env.scenario.namespace, "agent-66", warm={"min": 1, "max": 1}))
        pod = until(lambda: _warm_pod(env), "a warm pod", LONGEST)
        found = _survey(env, pod)
        cores = _cores(found, node_of(nodes.agent_pod(env.kube, pod, env.scenario.namespace)), rounds)
    rows.append(_row("idle in a pool, embedded engines", found, BEFORE["idle"]))
    misses += _missed("idle in a pool", found, ASKED_IDLE)
    misses += [f"idle CPU {cores:.4f} cores, asked {ASKED_IDLE_CORES:g}"] if cores > ASKED_IDLE_CORES else []
    columns = ["pod", "before, MiB", "PSS, MiB", "anonymous, MiB", "supervisor", "fork server", "others", "processes"]
    idle = Table("CPU of an idle pod", ["what", "figure"])
    idle.rows = [[f"cores over {rounds} s", f"{cores:.4f}"]]
    return Section("footprint", "18. Footprint of an agent pod", [Table("Memory", columns, rows), idle], [NOTE], misses)


NOTE = (
    "PSS counts a page that several processes share in parts. No other pod of the agent image runs on the node, so the "
    "pages of its files count in full. The columns from supervisor to others are PSS in MiB. On the day of the figures "
    "before, the time from the start of the process until its models were loaded was 6.7 s (p50, n 6) with them and "
    "5.0 s with the shared fork server, one pod at a time."
)


def _remote(env: BenchEnvironment) -> Json:
    """Return changes of the example that use OpenAI's plug-in for all three; nobody speaks, so it is never called."""
    url = manifests.example_agent()["spec"]["llm"]["baseURL"]
    engine: Json = {"provider": "openai", "model": "scripted-1", "baseURL": url}
    env.print_progress("remote providers")
    return {"stt": engine, "llm": engine, "tts": engine, "greeting": ""}


def _survey(env: BenchEnvironment, name: str) -> Survey:
    pod = nodes.agent_pod(env.kube, name, env.scenario.namespace)
    return survey(node_of(pod), nodes.supervisor(pod))


def _pss(found: Survey) -> float:
    return sum(process.pss for process in found.all) / MIB


def _row(name: str, found: Survey, before: int | None) -> list[str]:
    anonymous = sum(process.anonymous for process in found.all) / MIB
    children = [process for process in found.others if process.parent == found.supervisor.pid and process.pss]
    server = max(children, key=lambda process: process.pss)
    rest = sum(p.pss for p in found.others if p is not server)
    parts = [found.supervisor.pss, server.pss, rest]
    return [
        name,
        str(before or "-"),
        f"{_pss(found):.0f}",
        f"{anonymous:.0f}",
        *(f"{p / MIB:.0f}" for p in parts),
        str(len(found.all)),
    ]


def _missed(name: str, found: Survey, asked: float) -> list[str]:
    return [f"{name}: {_pss(found):.0f} MiB PSS, asked {asked:g}"] if _pss(found) > asked else []


def _warm_pod(env: BenchEnvironment) -> str:
    status = (env.kube.get("voicepool", POOL, env.scenario.namespace) or {}).get("status", {})
    pods = env.kube.all("pods", env.scenario.namespace, "app.kubernetes.io/component=agent-pod")
    return str(pods[0]["metadata"]["name"]) if status.get("warm") == 1 and pods else ""


def _cores(found: Survey, node: str, seconds: int) -> float:
    """Return the cores that the processes use on average."""
    time.sleep(REST_SECONDS)
    before, begin = _cpu_seconds(found, node), time.monotonic()
    time.sleep(seconds)
    return (_cpu_seconds(found, node) - before) / (time.monotonic() - begin)


def _cpu_seconds(found: Survey, node: str) -> float:
    stats = nodes.on_node(node, "cat", *(f"/proc/{process.pid}/stat" for process in found.all))
    # The fields after the name, which is in parentheses, begin with the third (proc(5)).
    fields = [line.rpartition(")")[2].split() for line in stats.splitlines()]
    return sum(int(field[UTIME]) + int(field[STIME]) for field in fields) / os.sysconf("SC_CLK_TCK")
