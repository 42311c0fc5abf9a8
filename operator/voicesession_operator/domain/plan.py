"""The plan of a session: a pure function of session, observations and time."""

from dataclasses import replace
from math import inf
from typing import Final

from voicesession_common.api.conditions import is_condition_true
from voicesession_common.api.reasons import ConditionType
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import Action, Deadline, Decision, Plan
from voicesession_operator.domain.agent_conditions import observe_agent, set_agent_healthy
from voicesession_operator.domain.deadlines import (
    agent_ended,
    end_requested,
    idle,
    last_human_left,
    max_duration,
    nobody_came,
    start_deadline,
    without_short_grace,
)
from voicesession_operator.domain.desired_state import desired_pod_states
from voicesession_operator.domain.escalation import agent_overdue, escalations
from voicesession_operator.domain.events import events_between
from voicesession_operator.domain.handover import is_own_agent_joined
from voicesession_operator.domain.humans import observe_humans
from voicesession_operator.domain.lifecycle import (
    derive_phase,
    finish,
    initial_status,
    plan_deleting,
    plan_finished,
    set_ready,
    set_start,
)
from voicesession_operator.domain.memory import observe_memory
from voicesession_operator.domain.observed import Config, Observed, RoomUnknown
from voicesession_operator.domain.pods import (
    SessionPods,
    agent_lost,
    classify_pods,
    pod_actions,
    replace_failed_successor,
    replacement_due_at,
    short_start_ends_at,
)
from voicesession_operator.domain.requeue import poll_interval
from voicesession_operator.domain.reset import complete_reset, due_resets, set_refused_request
from voicesession_operator.domain.room import observe_room, room_actions, room_lost

MIN_REQUEUE_SECONDS: Final = 0.05
"""A timer that fires a little early must not cause a busy loop."""
LIVEKIT_RETRY_SECONDS: Final = 2.0
"""Delay before LiveKit is asked again after it did not answer."""


def plan(session: VoiceSession, observed: Observed, now: float, config: Config) -> Plan:
    """Return the plan for `now` (Unix seconds). Total: it has an answer for every input. Safe to execute twice."""
    if session.deleting:
        return plan_deleting(session, observed, config)
    if session.status.finished_at is not None:
        return plan_finished(session, observed, now, config)
    pods = classify_pods(session, observed)
    status = _observe(session, observed, pods, now, config)
    deadlines = _deadlines(session, status, observed, pods, now)
    due = next((deadline for deadline in deadlines if now >= _time_of(deadline, observed)), None)
    if due is not None:
        ended = finish(status, due.end, now)
        return Plan(ended, events=events_between(session, status, ended), requeue_after=0.0)
    decisions = _decisions(session, status, observed, pods, now)
    decision = next((decision for decision in decisions if now >= _time_of(decision, observed)), None)
    if decision is not None:
        events = events_between(session, status, decision.status)
        return Plan(decision.status, events=events, requeue_after=0.0, is_decision=True)
    times = [_time_of(deadline, observed) for deadline in deadlines]
    times += [_time_of(decision, observed) for decision in decisions]
    stored = without_short_grace(session, status, observed, now)
    start_ends_at = short_start_ends_at(session, status, observed, pods)
    if start_ends_at is not None and now < start_ends_at:
        stored, times = session.status, [*times, start_ends_at]
    made = Plan(
        stored,
        _actions(session, status, observed, pods, now, config),
        events_between(session, stored, stored),
        _requeue_after(session, status, observed, pods, times, now, config),
    )
    return replace(made, steady_until=min(times, default=inf)) if _is_steady(session, observed, made, config) else made


def _is_steady(session: VoiceSession, observed: Observed, made: Plan, config: Config) -> bool:
    """Return True for a live session without a change in progress: only a deadline changes the plan then."""
    is_moving = made.status.absence or made.status.next_pod or not is_own_agent_joined(made.status)
    is_changing = made.actions or made.events or observed.failures or is_moving
    if is_changing or made.status != session.status or made.requeue_after != config.poll_seconds:
        return False
    return is_condition_true(made.status.conditions, ConditionType.READY)


def _observe(session: VoiceSession, observed: Observed, pods: SessionPods, now: float, config: Config) -> Status:
    """Return the status that follows from the observations, before any decision."""
    status = set_refused_request(session, initial_status(session, observed, now, config))
    status = observe_room(status, observed, now)
    status = observe_agent(session, status, observed, pods, now)
    status = complete_reset(status, now)
    status = set_start(session, set_ready(status, now), observed)
    state = observed.state_of(pods.serving)
    status = observe_memory(session, status, observed, state, now)
    status = set_agent_healthy(status, state, now)
    status = observe_humans(session, status, observed, state, now)
    return replace(status, phase=str(derive_phase(status)))


def _time_of(coming: Deadline | Decision, observed: Observed) -> float:
    """Return the time when it is due, after its trial by this process."""
    return max(coming.at, observed.watched_since + coming.trial_seconds)


def _deadlines(
    session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, now: float
) -> tuple[Deadline, ...]:
    """Return the deadlines in order of rank: the first due deadline gives the end reason."""
    return (
        *end_requested(session),
        *agent_ended(session, status, observed.state_of(pods.serving)),
        *max_duration(session, status),
        *agent_lost(session, status, pods, now),
        *start_deadline(session, status),
        *room_lost(session, status, observed),
        *agent_overdue(session, status, observed, pods, now),
        *idle(session, status, observed, observed.state_of(pods.serving)),
        *last_human_left(session, status, observed),
        *nobody_came(session, status, observed),
    )


def _decisions(
    session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, now: float
) -> tuple[Decision, ...]:
    """Return the decisions in order of rank; one is made at a time, because each changes the input of the others."""
    return (
        *escalations(session, status, pods, now),
        *replace_failed_successor(session, status, pods, now),
        *due_resets(session, status, observed, now),
    )


def _actions(
    session: VoiceSession, status: Status, observed: Observed, pods: SessionPods, now: float, config: Config
) -> tuple[Action, ...]:
    actions = (
        *room_actions(session, status, observed, now, config),
        *pod_actions(session, status, observed, pods, now, config),
        *desired_pod_states(session, status, observed, pods, config),
    )
    return observed.without_failed(actions)


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
        due = replacement_due_at(session.status, pods, now)
        waits += [due - now] if due > now else []
    if isinstance(observed.room, RoomUnknown):
        waits.append(LIVEKIT_RETRY_SECONDS)
    optional = (observed.retry_after(config.poll_seconds), poll_interval(session, status, observed, pods, now))
    waits += [wait for wait in optional if wait is not None]
    return max(min(waits), MIN_REQUEUE_SECONDS)
