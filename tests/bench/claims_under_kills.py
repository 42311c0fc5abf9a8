"""Claims of warm pods while the leader is killed: a pod has one session, and a session one pod."""

from tests.bench.environment import BenchEnvironment, bench_environment
from tests.bench.figures import Section, Table, distribution
from tests.support.cluster import manifests, operator_pods
from tests.support.polling import until

CLAIMS = 10
LONGEST = 300
POOL = "front"
AGENT_PODS = "app.kubernetes.io/component=agent-pod"
UNCLAIMED = f"{AGENT_PODS},voicesession.dev/pool={POOL},!voicesession.dev/session-uid"


def run(rounds: int) -> Section:
    """Kill the leader so many times, each time between the claims of CLAIMS sessions."""
    doubled = lost = leaked = 0
    ready: list[float] = []
    with bench_environment("kills") as env:
        env.kube.apply(manifests.pool(POOL, env.scenario.namespace, warm={"min": CLAIMS, "max": CLAIMS}))
        for number in range(rounds):
            env.wait_until_warm(POOL, CLAIMS, LONGEST)
            found = _round(env, [f"r{number}-{n}" for n in range(CLAIMS)], ready)
            doubled, lost, leaked = doubled + found[0], lost + found[1], leaked + found[2]
            env.print_progress(f"{number + 1}/{rounds}: the last Ready after {max(ready[-CLAIMS:]):.1f} s")
    table = Table(f"{rounds} kills of the leader in the middle of {CLAIMS} claims", ["what", "figure"])
    counts = {"pods with two sessions": doubled, "sessions without an agent": lost, "leaked pods": leaked}
    table.rows = [[what, str(count)] for what, count in counts.items()]
    misses = [f"{what}: {count}" for what, count in counts.items() if count]
    tables = [table, distribution("Apply -> Ready, in s", {"every session": ready})]
    return Section("kills", "19. Claims under kills of the leader", tables, [NOTE], misses)


NOTE = "Agents that only join. The leader's process gets SIGKILL after half of the sessions are applied."


def _round(env: BenchEnvironment, names: list[str], ready: list[float]) -> tuple[int, int, int]:
    """Return the numbers of pods with two sessions, sessions without an agent, and leaked pods."""
    applied = {}
    for number, name in enumerate(names):
        applied[name] = env.timeline.create(manifests.session(name, env.scenario.namespace))
        if number == len(names) // 2:
            operator_pods.kill_leader(env.kube)
    for name in names:
        env.kube.wait(f"voicesession/{name}", "condition=Ready", env.scenario.namespace, LONGEST)
        ready.append(env.timeline.at(name, "Ready", 1) - applied[name])
    env.wait_until_warm(POOL, CLAIMS, LONGEST)
    sessions = [env.scenario.session(name) for name in names]
    serving = [session.pod for session in sessions]
    lost = sum(env.scenario.agent_sid(session) == "" for session in sessions)
    leaked = len(_claimed(env) - set(serving))
    for name in names:
        env.kube.delete("voicesession", name, env.scenario.namespace, "--wait=false")
    until(lambda: not _claimed(env), "no pods of sessions", LONGEST)
    return len(serving) - len(set(serving)), lost, leaked


def _claimed(env: BenchEnvironment) -> set[str]:
    """Return the agent pods that are not warm pods of the pool; deleted ones may still be ending."""
    every, warm = (env.kube.all("pods", env.scenario.namespace, selector) for selector in (AGENT_PODS, UNCLAIMED))
    return {pod["metadata"]["name"] for pod in every} - {pod["metadata"]["name"] for pod in warm}
