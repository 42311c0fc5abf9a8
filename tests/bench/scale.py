"""One leader with thousands of live sessions: memory, CPU, leaves, a new leader, a flood of webhooks.

API server and etcd are real. LiveKit's room service and the agent pods are a simulation (tests.bench.simulation).
`python -m tests.bench.scale --sessions N [--kubeconfig FILE]` measures without writing docs/benchmarks.md; with a
kubeconfig, against that API server, which needs the CRDs, and no other operator may watch all of its namespaces.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession
from voicesession_common.kube_client import SESSIONS, KubeClient, load_configuration

from tests.bench.figures import PERCENTILES, Section, percentile, stamp
from tests.bench.scale_figures import REST_SECONDS, WEBHOOK_SECONDS, WEBHOOKS_PER_SECOND, Figures
from tests.bench.scale_objects import PUBLIC_URL, ScaleObjects, live_sessions
from tests.bench.simulation import KEY, SimulatedSession
from tests.support.async_polling import until
from tests.support.cluster import faults, host_operator, webhooks
from tests.support.cluster.host_operator import HostOperator
from tests.support.cluster.kubectl import Kube
from tests.support.cluster.rooms import LiveKit

LONGEST = 600.0
LEASE_SECONDS = 8
"""The chart's value."""
TICKS = os.sysconf("SC_CLK_TCK")
HELD = ("changed", "human", "left_at", "version")
"""Fields of a simulated session that the simulation itself keeps."""


@dataclass
class Bench:
    """The parts of one measurement."""

    kubeconfig: str
    directory: Path
    kube: KubeClient
    http: ClientSession
    objects: ScaleObjects
    simulation: str
    found: Figures
    lease_seconds: int

    def operator(self, name: str) -> Any:
        """Return the context of one replica."""
        directory = self.directory / name
        directory.mkdir()
        changes = {
            "POD_NAME": name,
            "INSTALLATION_ID": self.objects.name,
            "WATCH_NAMESPACES": ",".join(self.objects.namespaces),
            "KUBECONFIG": self.kubeconfig,
            "LIVEKIT_PUBLIC_URL": PUBLIC_URL,
            "LOG_LEVEL": "WARNING",
        }
        livekit, lease_namespace = LiveKit(self.simulation, KEY), self.objects.namespaces[0]
        return host_operator.running(
            "http://unused.invalid", livekit, (lease_namespace,), directory, self.lease_seconds, changes
        )

    async def looked_at_all(self, since: float) -> float:
        """Wait until all pods were asked; return the seconds since `since` (time.monotonic)."""
        while (await self.counts())["asked"] < self.found.sessions:
            assert time.monotonic() - since < LONGEST, "not all sessions were looked at"
            await asyncio.sleep(0.05)
        return time.monotonic() - since

    async def counts(self, reset: str = "") -> dict[str, Any]:
        """Return the simulation's counts."""
        async with self.http.get(f"{self.simulation}/simulation/counts{reset}") as answer:
            found: dict[str, Any] = await answer.json()
            return found


async def measure(kubeconfig: str, sessions: int, lease_seconds: int = LEASE_SECONDS) -> Figures:
    """Measure against the API server of the kubeconfig's current context."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kube = KubeClient(await load_configuration(kubeconfig))
        stack.push_async_callback(kube.close)
        http = await stack.enter_async_context(ClientSession())
        objects = await stack.enter_async_context(live_sessions(kube, sessions, progress))
        url = await stack.enter_async_context(_simulation(objects.sessions, directory))
        bench = Bench(kubeconfig, directory, kube, http, objects, url, Figures(sessions), lease_seconds)
        await _measure_first(bench, stack)
    return bench.found


async def _measure_first(bench: Bench, stack: AsyncExitStack) -> None:
    begin = time.monotonic()
    leader: HostOperator = await stack.enter_async_context(bench.operator("first"))
    bench.found.first_look = await bench.looked_at_all(begin)
    progress(f"first leader has looked at all after {bench.found.first_look:.1f} s")
    await _rest(bench, leader)
    await _leaves(bench, leader)
    await _flood(bench, leader)
    standby: HostOperator = await stack.enter_async_context(bench.operator("second"))
    await _until_ready(standby)
    leader.process.kill()
    await leader.process.wait()
    # A killed leader keeps its Lease for some seconds, so no look of the next one comes before the reset.
    await bench.counts("?reset=1")
    killed = time.monotonic()
    while not (await bench.counts())["asked"]:
        assert time.monotonic() - killed < LONGEST, "no other replica leads"
        await asyncio.sleep(0.02)
    bench.found.takeover = time.monotonic() - killed
    bench.found.new_leader = await bench.looked_at_all(time.monotonic())
    bench.found.loads["new leader"] = os.getloadavg()[0]
    progress(f"new leader has looked at all after {bench.found.new_leader:.1f} s")


async def _rest(bench: Bench, leader: HostOperator) -> None:
    await asyncio.sleep(REST_SECONDS / 4)
    await bench.counts("?reset=1")
    before, begin = _cpu_seconds(leader), time.monotonic()
    await asyncio.sleep(REST_SECONDS)
    bench.found.cores = (_cpu_seconds(leader) - before) / (time.monotonic() - begin)
    bench.found.rss, bench.found.calls = _rss_mib(leader), (await bench.counts())["calls"]
    bench.found.loads["at rest"] = os.getloadavg()[0]
    progress(f"at rest: {bench.found.rss:.0f} MiB, {bench.found.cores:.2f} cores")


async def _leaves(bench: Bench, leader: HostOperator) -> None:
    """Let humans leave at a pace of two per second, each in a session of its own."""
    count = bench.found.leaves_of_each_way
    ways = {"by webhook": f"{leader.url}{webhooks.PATH}", "without webhook": ""}
    for part, (way, url) in enumerate(ways.items()):
        leaving = bench.objects.sessions[part * count : (part + 1) * count]
        noticed = await _leave_all(bench, leaving, url)
        bench.found.leaves[way] = noticed
        bench.found.loads[f"leaves {way}"] = os.getloadavg()[0]
        figures = ", ".join(f"p{percent} {percentile(noticed or [0.0], percent):.3f} s" for percent in PERCENTILES)
        progress(f"leave {way}: n {len(noticed)}, {figures}")


async def _leave_all(bench: Bench, leaving: list[SimulatedSession], url: str) -> list[float]:
    stored: dict[str, float] = {}
    watches = [asyncio.create_task(_watch(bench, namespace, stored)) for namespace in bench.objects.namespaces]
    left: dict[str, float] = {}
    try:
        await asyncio.sleep(1)
        for session in leaving:
            query = {"room": session.room, "webhook": url}
            async with bench.http.post(f"{bench.simulation}/simulation/leave", params=query) as answer:
                left[session.session_uid] = (await answer.json())["at"]
            await asyncio.sleep(0.5)
        with suppress(TimeoutError):
            await until(lambda: left.keys() <= stored.keys(), LONGEST / 10)
    finally:
        for watch in watches:
            watch.cancel()
    return [stored[uid] - at for uid, at in left.items() if uid in stored]


async def _watch(bench: Bench, namespace: str, stored: dict[str, float]) -> None:
    """Record when each session is first seen without humans."""
    _, version = await bench.kube.list(SESSIONS, namespace)
    while True:
        async for kind, raw in bench.kube.watch(SESSIONS, namespace, version):
            version = raw["metadata"]["resourceVersion"]
            if kind == "MODIFIED" and (raw.get("status") or {}).get("humans") == 0:
                stored.setdefault(raw["metadata"]["uid"], time.time())


async def _flood(bench: Bench, leader: HostOperator) -> None:
    """Send webhooks at a fixed pace, whether or not earlier ones were answered."""
    rooms = [session.room for session in bench.objects.sessions]
    count = WEBHOOKS_PER_SECOND * WEBHOOK_SECONDS
    bodies = [webhooks.event(rooms[number % len(rooms)], "participant_joined") for number in range(count)]
    signed = [(body, webhooks.headers(body, KEY)) for body in bodies]
    begin = time.monotonic()

    async def send(number: int) -> None:
        body, headers = signed[number]
        started = time.monotonic()
        try:
            async with bench.http.post(f"{leader.url}{webhooks.PATH}", data=body, headers=headers) as answer:
                bench.found.webhooks_failed += answer.status != 200
        except (ClientError, TimeoutError):
            bench.found.webhooks_failed += 1
        bench.found.webhook_answers.append(time.monotonic() - started)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(begin + number / WEBHOOKS_PER_SECOND - time.monotonic(), 0))
            group.create_task(send(number))
    last = time.monotonic()
    while (await leader.metrics())["voicesession_queue_oldest_seconds"] > 1:
        assert time.monotonic() - last < LONGEST, "the queue is not empty"
        await asyncio.sleep(0.2)
    bench.found.drained = time.monotonic() - last
    bench.found.kept_lead = leader.process.returncode is None and (await leader.metrics())["voicesession_leader"] == 1
    progress(f"webhooks: {bench.found.webhooks_failed} refused, queue empty after {bench.found.drained:.1f} s")


async def _until_ready(standby: HostOperator) -> None:
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        try:
            if "voicesession_leader" in await standby.metrics():
                return
        except ClientError:
            await asyncio.sleep(0.2)
    raise AssertionError("the second replica does not start")


@asynccontextmanager
async def _simulation(sessions: list[SimulatedSession], directory: Path) -> AsyncIterator[str]:
    """Run the simulation as a program of its own; yield its URL."""
    raw = [{name: value for name, value in vars(s).items() if name not in HELD} for s in sessions]
    data = directory / "sessions.json"
    data.write_text(json.dumps(raw))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = (sys.executable, "-m", "tests.bench.simulation", str(data), port)
    process = await asyncio.create_subprocess_exec(*command)
    try:
        url = f"http://127.0.0.1:{port}"
        await _until_answering(process, url)
        yield url
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _until_answering(process: asyncio.subprocess.Process, url: str) -> None:
    async with ClientSession() as http:
        while True:
            assert process.returncode is None, "the simulation ended; is port 8080 taken?"
            try:
                async with http.get(f"{url}/simulation/counts"):
                    return
            except ClientError:
                await asyncio.sleep(0.1)


def _cpu_seconds(operator: HostOperator) -> float:
    assert operator.process.returncode is None, operator.log.read_text()[-2000:]
    fields = Path(f"/proc/{operator.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _rss_mib(operator: HostOperator) -> float:
    lines = Path(f"/proc/{operator.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def progress(text: str) -> None:
    """Print a line of progress, with the time and the load average of the machine."""
    print(f"  {time.strftime('%T')} {text} (load {os.getloadavg()[0]:.1f})", flush=True)


def run(sessions: int) -> Section:
    """Measure on the kind cluster, while its own operator is stopped."""
    with tempfile.TemporaryDirectory() as directory, faults.without(kube := Kube(), "operator"):
        kubeconfig = Path(directory) / "kubeconfig"
        kubeconfig.write_text(kube.run("config", "view", "--minify", "--flatten", "--raw"))
        return asyncio.run(measure(str(kubeconfig), sessions)).section()


def main() -> int:
    """Measure and print the section; return 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=5000)
    parser.add_argument("--kubeconfig", help="an API server other than the kind cluster's")
    parser.add_argument("--lease-seconds", type=int, default=LEASE_SECONDS, help="more on a busy machine")
    given, load = parser.parse_args(), os.getloadavg()[0]
    if given.kubeconfig:
        section = asyncio.run(measure(given.kubeconfig, given.sessions, given.lease_seconds)).section()
    else:
        section = run(given.sessions)
    print(stamp(section, load, "not stored").render())
    return 1 if section.misses else 0


if __name__ == "__main__":
    sys.exit(main())
