"""Prometheus metrics of the agent pod, without speech, tokens or secrets."""

import os
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Final

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from voicesession_agent.health.diagnosis import Problem
from voicesession_agent.memory.backend import MemoryCall, MemoryOutcome
from voicesession_agent.memory.facts import EditOutcome, MemoryEdit
from voicesession_agent.memory.turn_queue import DropReason
from voicesession_agent.protocol import RESPONSE, Stage
from voicesession_agent.supervisor import control_auth as auth

RESET_BUCKETS: Final = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)
RESPONSE_BUCKETS: Final = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0)
STAGE_BUCKETS: Final = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
MEMORY_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """Metrics of this process; label values are enum members, so their number is bounded."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they are unused, and a third of all samples
        self.registry = CollectorRegistry()
        self.refused = Counter(
            "voicesession_control_refused",
            "Requests to the control port that were refused, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.launches = Counter(
            "voicesession_agent_job_launches", "Jobs that this pod has started.", registry=self.registry
        )
        self.turns_lost = Counter(
            "voicesession_agent_turns_lost",
            "Turns that never reached memory, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.turns_repeated = Counter(
            "voicesession_agent_turns_repeated",
            "Turns sent to memory again because the first attempt had no response.",
            registry=self.registry,
        )
        self.memory_edits = Counter(
            "voicesession_agent_memory_edits",
            "Facts that people asked to remember or to forget, by edit and outcome.",
            ["edit", "outcome"],
            registry=self.registry,
        )
        self.health_restarts = Counter(
            "voicesession_agent_health_restarts",
            "New jobs started because of a health problem of the old one, by problem.",
            ["state"],
            registry=self.registry,
        )
        self.reset_seconds = Histogram(
            "voicesession_agent_reset_seconds",
            "Time from the reset request until the new job joined its room.",
            buckets=RESET_BUCKETS,
            registry=self.registry,
        )
        self._create_histograms()
        self._create_gauges()
        self._initialize_series()

    def _create_histograms(self) -> None:
        self._response_seconds = Histogram(
            "voicesession_agent_response_seconds",
            "Time from the end of a human's speech until the answer's first audio leaves the job; the transport to the "
            "human adds about 0.25 s.",
            buckets=RESPONSE_BUCKETS,
            registry=self.registry,
        )
        self._stage_seconds = Histogram(
            "voicesession_agent_response_stage_seconds",
            "Time of each stage of an answer, from the end of the stage before it.",
            ["stage"],
            buckets=STAGE_BUCKETS,
            registry=self.registry,
        )
        self._memory_seconds = Histogram(
            "voicesession_agent_memory_request_seconds",
            "Duration of this pod's calls to memory.",
            ["call", "outcome"],
            buckets=MEMORY_BUCKETS,
            registry=self.registry,
        )

    def _create_gauges(self) -> None:
        self._unhealthy = Gauge(
            "voicesession_agent_unhealthy",
            "1 for the health problem of the job, until the next job works.",
            ["state"],
            registry=self.registry,
        )
        self._backlog = Gauge(
            "voicesession_agent_capture_backlog", "Turns that wait for memory.", registry=self.registry
        )
        self._memory_ok = Gauge(
            "voicesession_agent_memory_ok", "1 while memory can be read, or is not configured.", registry=self.registry
        )
        self._humans = Gauge("voicesession_agent_humans", "Humans that the job sees.", registry=self.registry)
        self._joined = Gauge("voicesession_agent_job_joined", "1 while the job is in its room.", registry=self.registry)

    def _initialize_series(self) -> None:
        """Create each series with the value 0.

        Prometheus sees no increase in a series that starts at 1, so the first failure would fire no alert.
        """
        for refusal in auth.RefusalReason:
            self.refused.labels(refusal.value)
        for why in DropReason:
            self.turns_lost.labels(why.value)
        for edit, outcome in product(MemoryEdit, EditOutcome):
            self.memory_edits.labels(edit.value, outcome.value)
        for known in Problem:
            self.health_restarts.labels(known.value)
        for stage in Stage:
            self._stage_seconds.labels(stage.value)

    def observe_response(self, seconds: dict[str, float]) -> None:
        """Observe the seconds of one message, by Stage and RESPONSE. Raise ValueError for any other name."""
        for name, value in seconds.items():
            found = self._response_seconds if name == RESPONSE else self._stage_seconds.labels(Stage(name).value)
            found.observe(value)

    def observe_memory_call(self, call: MemoryCall, outcome: MemoryOutcome, seconds: float) -> None:
        """Observe the duration of one memory call."""
        self._memory_seconds.labels(call.value, outcome.value).observe(seconds)

    def watch(
        self,
        *,
        backlog: Callable[[], float],
        memory_ok: Callable[[], float],
        humans: Callable[[], float],
        joined: Callable[[], float],
        problem: Callable[[], Problem | None],
    ) -> None:
        """Read these values at every scrape."""
        for known in Problem:
            self._unhealthy.labels(known.value).set_function(partial(_is_active, problem, known))
        self._backlog.set_function(backlog)
        self._memory_ok.set_function(memory_ok)
        self._humans.set_function(humans)
        self._joined.set_function(joined)

    def render(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)


def _is_active(problem: Callable[[], Problem | None], known: Problem) -> float:
    return 1.0 if problem() is known else 0.0


def process_started_at() -> float:
    """Return the start time of this process in Unix seconds, from the kernel (Linux), so that imports are counted."""
    try:
        with open("/proc/self/stat", encoding="ascii") as stat:
            ticks = int(stat.read().rpartition(")")[2].split()[19])
        with open("/proc/uptime", encoding="ascii") as uptime:
            up = float(uptime.read().split()[0])
    except (OSError, ValueError, IndexError):
        return time.time()
    return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")


def metrics_app(metrics: Metrics) -> web.Application:
    """Create the application of GET /metrics, in the Prometheus text format."""

    async def render(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.router.add_get("/metrics", render)
    return app
