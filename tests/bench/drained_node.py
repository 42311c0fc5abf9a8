"""Drain of a node with calls: each moves to a warm pod of another node and keeps its room and its conversation.

The cluster has one worker, so the warm pods wait on the node of the control plane, which the VoiceAgent tolerates.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from hack.cluster import constants, kind, programs
from hack.cluster.process import run as run_program
from tests.bench.environment import BenchEnvironment, bench_environment
from tests.bench.figures import Section, Table, distribution
from tests.support.cluster import manifests
from tests.support.cluster.kubectl import Session
from tests.support.observability.room_sampler import RoomSampler
from tests.support.participants.typing_participant import TypingParticipant

LONGEST = 300
ANSWER_SECONDS = 60
POOL = "front"
TAINT = "node-role.kubernetes.io/control-plane"
IMAGE = "voicesession/agent:0.1.0"
FACT, QUESTION, ANSWER = "My secret word is {}", "What is my secret word?", "Your secret word is {}"
WORDS = ("kumquat", "lantern", "marble", "nettle", "orchid", "pebble", "quiver", "ribbon")
ASKED_SILENCE = 1.0


def run(rounds: int) -> Section:
    """Drain a node with so many calls, at most one for each of WORDS."""
    calls = min(rounds, len(WORDS))
    spare, worker = kind.nodes("control-plane")[0], kind.nodes("worker")[0]
    run_program(
        programs.path("kind"), "load", "docker-image", IMAGE, "--name", constants.CLUSTER, "--nodes", spare, log=print
    )
    with bench_environment("drain") as env:
        pod = {"tolerations": [{"key": TAINT, "operator": "Exists"}]}
        env.example_agent("memory", "greeting", pod=pod)
        env.kube.wait("voiceagent/agent-66", "condition=Ready", env.scenario.namespace, LONGEST)
        with _cordoned(env, spare):
            sessions = [env.scenario.start_session(f"call-{n}", "agent-66", grace=60) for n in range(calls)]
        people = [TypingParticipant(env.scenario.livekit, session, "alice") for session in sessions]
        for person, word in zip(people, WORDS, strict=False):
            person.type(FACT.format(word))
            person.wait_for_text(word, ANSWER_SECONDS)
        env.print_progress(f"{calls} calls on {worker}")
        with _cordoned(env, worker):
            _warm_up(env, calls)
            joined, gaps = _drain(env, worker, sessions)
        known = 0
        for person, word in zip(people, WORDS, strict=False):
            person.type(QUESTION)
            person.wait_for_text(ANSWER.format(word), ANSWER_SECONDS)
            known += 1
            person.leave()
        after = [env.scenario.session(f"call-{n}") for n in range(calls)]
    dropped = sum(new.room != old.room or new.is_true("Finished") for old, new in zip(sessions, after, strict=True))
    table = Table(f"{calls} calls on one node", ["what", "figure"])
    table.rows = [
        ["calls that were dropped or changed their room", str(dropped)],
        ["conversations that went on with what was said before", str(known)],
        ["replacements, resets", f"{sum(s.status['replacements'] for s in after)}, {_resets(after)}"],
        ["longest time without an agent that publishes sound, s", f"{max(gaps):.2f}"],
    ]
    rows = {"until the next agent is in the room": joined, "longest time without an agent": gaps}
    misses = [f"{dropped} calls dropped"] if dropped else []
    misses += [f"longest silence {max(gaps):.2f} s, asked {ASKED_SILENCE:g}"] if max(gaps) > ASKED_SILENCE else []
    tables = [table, distribution("From the start of the drain, in s", rows)]
    return Section("drain", "17. Drain of a node", tables, [NOTE], misses)


NOTE = (
    "The agents are the example's, with its embedded engines. An ending pod stays in its conversation until the agent "
    "of the warm pod joins. The time without an agent is between two samples of LiveKit's list that have one with a "
    "published track; a sample is taken every 20 ms at best, with one sampler for each call."
)


def _drain(env: BenchEnvironment, worker: str, sessions: list[Session]) -> tuple[list[float], list[float]]:
    """Drain the node of agent pods; return the seconds until each next agent, and the longest without one."""
    livekit, selector = env.scenario.livekit, "--pod-selector=app.kubernetes.io/component=agent-pod"
    old = [frozenset({env.scenario.agent_sid(session)}) for session in sessions]
    with ExitStack() as stack:
        samplers = [
            stack.enter_context(RoomSampler(livekit, session.room, session.identity, speaking=True))
            for session in sessions
        ]
        begin = time.time()
        env.kube.run("drain", worker, "--delete-emptydir-data", selector, "--timeout=2m")
        pairs = list(zip(samplers, old, strict=True))
        joined = [sampler.wait_for_new_sid(sids, begin, LONGEST) for sampler, sids in pairs]
        gaps = [sampler.longest_gap(begin, at) for sampler, at in zip(samplers, joined, strict=True)]
    return [at - begin for at in joined], gaps


def _warm_up(env: BenchEnvironment, count: int) -> None:
    env.kube.apply(manifests.pool(POOL, env.scenario.namespace, "agent-66", warm={"min": count, "max": count}))
    env.wait_until_warm(POOL, count, LONGEST)
    env.print_progress(f"{count} warm pods on the other node")


def _resets(sessions: list[Session]) -> int:
    return sum(session.status["resets"] for session in sessions)


@contextmanager
def _cordoned(env: BenchEnvironment, node: str) -> Iterator[None]:
    env.kube.run("cordon", node)
    try:
        yield
    finally:
        env.kube.run("uncordon", node)
