"""The gauges that tell how things stand: counted from the cache and the queues whenever somebody asks for metrics."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from voicesession_operator.api.reasons import ConditionType, Phase
from voicesession_operator.controller.cache import Cache, Kind
from voicesession_operator.controller.workqueue import WorkQueue
from voicesession_operator.telemetry import metrics

Object = dict[str, Any]


class Census:
    """Only the leader's cache holds anything, so that the sum over all replicas is right."""

    def __init__(self, cache: Cache, queues: Iterable[WorkQueue[Any]]) -> None:
        self._cache = cache
        self._queues = tuple(queues)

    def take(self) -> None:
        """Bring the gauges up to date."""
        statuses = [raw.get("status") or {} for raw in self._cache.all(Kind.SESSION)]
        phases = Counter(status.get("phase") for status in statuses)
        for phase in Phase:
            metrics.SESSIONS.labels(phase.value).set(phases[phase.value])
        metrics.HUMANS.set(sum(status.get("humans") or 0 for status in statuses))
        troubles = Counter(trouble for status in statuses for trouble in _troubles(status))
        for condition in metrics.TROUBLES:
            metrics.SESSIONS_TROUBLED.labels(condition.value).set(troubles[condition.value])
        usable = Counter(_is_ready(raw) for raw in self._cache.all(Kind.AGENT))
        for ready in (True, False):
            metrics.VOICE_AGENTS.labels(str(ready).lower()).set(usable[ready])
        for queue in self._queues:
            metrics.QUEUE_OLDEST_SECONDS.labels(queue.name).set(queue.oldest())


def _troubles(status: Object) -> set[str]:
    """A session that never was Ready is only starting, and one that is finished has no agent to be in trouble."""
    if not status.get("readyAt") or status.get("finishedAt"):
        return set()
    return {c["type"] for c in status.get("conditions") or () if c["status"] != "True"}


def _is_ready(agent: Object) -> bool:
    conditions = (agent.get("status") or {}).get("conditions") or ()
    return any(c["type"] == ConditionType.READY and c["status"] == "True" for c in conditions)
