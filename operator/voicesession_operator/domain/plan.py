"""The one decision: from a session, what was observed of its world, and the time, to what must become of it."""

from dataclasses import replace
from typing import Final

from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import Action, Deadline, Decision, Plan
from voicesession_operator.domain.agent_conditions import observe_agent, set_agent_healthy
from voicesession_operator.domain.config import Config
from voicesession_operator.domain.deadlines import (
    agent_stayed_away,
    idle,
    last_human_left,
    max_duration,
    nobody_came,
    requested,
    start,
)
from voicesession_operator.domain.desired_state import desired_pod_states
from voicesession_operator.domain.escalation import agent_lost_after_reset, escalations
from voicesession_operator.domain.events import events_between
from voicesession_operator.domain.humans import observe_humans
from voicesession_operator.domain.lifecycle import (
    begin,
    finish,
    phase,
    plan_deleting,
    plan_finished,
    set_ready,
)
from voicesession_operator.domain.memory import observe_memory
from voicesession_operator.domain.observed import Observed, RoomUnknown
from voicesession_operator.domain.pods import (
    SessionPods,
    agent_lost,
    classify_pods,
    pod_actions,
    replace_failed_successor,
    replacement_due,
)
from voicesession_operator.domain.requeue import poll_interval
from voicesession_operator.domain.reset import complete_reset, resets, set_refused_request
from voicesession_operator.domain.room import observe_room, room_actions, room_lost

SOONEST_SECONDS: Final = 0.05
"""A timer that fires a little early must not turn into a busy loop."""
UNKNOWN_SECONDS: Final = 2.0
"""A LiveKit that could not be asked is asked again this soon."""


def plan(session: VoiceSession, observed: Observed, now: float, config: Config) -> Plan:
    """Pure and total: `now` is Unix seconds, the result holds for this moment only and is safe to carry out twice."""
    if session.deleting:
        return plan_deleting(session, observed, config)
    if session.status.finished_at is not None:
        return plan_finished(session, observed, now, config)
    pods = classify_pods(session, observed)
    status = _note(session, observed, pods, now, config)
    deadlines = _deadlines(session, status, observed, pods)
    due = next((deadline for deadline in deadlines if now >= deadline.at), None)
    if due is not None:
        ended = finish(status, due.end, now)
        return Plan(ended, events=events_between(session.status, status, ended, observed), requeue_after=0.0)
    steps = _steps(session, status, pods, now)
    step = next((step for step in steps if now >= step.at), None)
    if step is not None:
        events = events_between(session.status, status, step.status, observed)
        return Plan(step.status, events=events, requeue_after=0.0, is_decision=True)
    times = [*(deadline.at for deadline in deadlines), *(step.at for step in steps)]
    return Plan(
        status,
        _actions(session, status, observed, pods, now, config),
        events_between(session.status, status, status, observed),
        _requeue_after(session, status, observed, pods, times, now, config),
    )


def _actions(
    session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, now: float, config: Config
) -> tuple[Action, ...]:
    wanted = (
        *room_actions(session, status, observed, config),
        *pod_actions(session, status, observed, pods, now, config),
        *desired_pod_states(session, status, observed, pods),
    )
    return observed.without_failed(wanted)


def _note(session: VoiceSession, observed: Observed, pods: SessionPods, now: float, config: Config) -> Status:
    status = set_refused_request(session, begin(session, now, config))
    status = observe_room(status, observed, now)
    status = observe_agent(session, status, observed, pods, now)
    status = complete_reset(status, now)
    status = set_ready(status, now)
    state = observed.state_of(pods.serving)
    status = observe_memory(session, status, observed, state, now)
    status = set_agent_healthy(status, state, now)
    status = observe_humans(session, status, observed, state, now)
    return replace(status, phase=str(phase(status)))


def _deadlines(session: VoiceSession, status: Status, observed: Observed, pods: SessionPods) -> tuple[Deadline, ...]:
    """In order of rank: of several that are due, the first one is the reason."""
    return (
        *requested(session),
        *max_duration(session, status),
        *agent_lost(session, pods),
        *start(session, status),
        *room_lost(session, status, observed),
        *agent_stayed_away(session, status),
        *agent_lost_after_reset(session, status, pods),
        *idle(session, status, observed, observed.state_of(pods.serving)),
        *last_human_left(session, status),
        *nobody_came(session, status),
    )


def _steps(session: VoiceSession, status: Status, pods: SessionPods, now: float) -> tuple[Decision, ...]:
    """In order of rank, like the deadlines; one at a time, since each changes what the others look at."""
    return (
        *escalations(session, status, pods),
        *replace_failed_successor(session, status, pods),
        *resets(session, status, now),
    )


def _requeue_after(
    session: VoiceSession,
    status: Status,
    observed: Observed,
    pods: SessionPods,
    times: list[float],
    now: float,
    config: Config,
) -> float:
    waits = [config.poll_seconds, *(at - now for at in times)]
    if pods.serving is None and observed.agent is not None:
        due = replacement_due(session.status, pods, now)
        waits += [due - now] if due > now else []
    if isinstance(observed.room, RoomUnknown):
        waits.append(UNKNOWN_SECONDS)
    asked = (observed.retry_after(config.poll_seconds), poll_interval(session, status, observed, pods, now))
    waits += [wait for wait in asked if wait is not None]
    return max(min(waits), SOONEST_SECONDS)
