"""Where the time from a session's creation to Ready went."""

from typing import Final

from voicesession_operator.domain.observed import Timings
from voicesession_operator.telemetry.labels import StartStage

STAMP_SECONDS: Final = 1.0
"""Kubernetes rounds creation times down to whole seconds."""


def start_stages(
    created_at: float, started_at: float, pod_made_at: float | None, timings: Timings, ready_at: float
) -> dict[StartStage, float]:
    """Seconds by stage; those after a moment that nobody told of are left out. All moments are Unix seconds.

    The agent's moments are of its own clock: where it is slow, a stage is 0 and the next one is longer.
    """
    moments = {
        StartStage.POD_CREATED: pod_made_at,
        StartStage.PROCESS_STARTED: timings.process_started,
        StartStage.MODELS_LOADED: timings.prepared,
        StartStage.BOUND: timings.bound,
        StartStage.JOINED: timings.joined,
        StartStage.SEEN: ready_at,
    }
    found = {StartStage.FOUND: max(started_at - created_at - STAMP_SECONDS, 0.0)}
    last = started_at
    for stage, at in moments.items():
        if at is None:
            break
        found[stage] = max(at - last, 0.0)
        last = max(at, last)
    return found
