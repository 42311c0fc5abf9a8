"""The one decision: from a session, what was observed of its world, and the time, to what must become of it."""

from dataclasses import replace
from typing import Final

from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import Action, Deadline, Plan, Step
from voicesession_operator.domain.agent_conditions import note_agent, note_health
from voicesession_operator.domain.config import Policy
from voicesession_operator.domain.deadlines import (
    agent_stayed_away,
    idle,
    last_human_left,
    max_duration,
    nobody_came,
    requested,
    start,
)
from voicesession_operator.domain.desired_state import want_tell
from voicesession_operator.domain.escalation import escalations, hopeless
from voicesession_operator.domain.events import events_between
from voicesession_operator.domain.humans import note_humans
from voicesession_operator.domain.lifecycle import (
    begin,
    farewell,
    finish,
    note_ready,
    phase,
    plan_deleting,
    plan_finished,
)
from voicesession_operator.domain.memory import note_memory
from voicesession_operator.domain.observed import Observed, Unknown, retry_after, without_failed
from voicesession_operator.domain.pods import Children, agent_lost, replacement_due, sort_pods, successions, want_pods
from voicesession_operator.domain.requeue import ask_again_after
from voicesession_operator.domain.reset import note_complete, note_request, resets
from voicesession_operator.domain.room import note_room, room_lost, want_room

__all__ = ["farewell", "plan"]

SOONEST_SECONDS: Final = 0.05
"""A timer that fires a little early must not turn into a busy loop."""
UNKNOWN_SECONDS: Final = 2.0
"""A LiveKit that could not be asked is asked again this soon."""


def plan(session: VoiceSession, observed: Observed, now: float, policy: Policy) -> Plan:
    """Pure and total: `now` is Unix seconds, the result holds for this moment only and is safe to carry out twice."""
    if session.deleting:
        return plan_deleting(session, observed, policy)
    if session.status.finished_at is not None:
        return plan_finished(session, observed, now, policy)
    children = sort_pods(session, observed)
    status = _note(session, observed, children, now, policy)
    deadlines = _deadlines(session, status, observed, children)
    due = next((deadline for deadline in deadlines if now >= deadline.at), None)
    if due is not None:
        ended = finish(status, due.verdict, now)
        return Plan(ended, events=events_between(session.status, status, ended, observed), requeue_after=0.0)
    steps = _steps(session, status, children, now)
    step = next((step for step in steps if now >= step.at), None)
    if step is not None:
        events = events_between(session.status, status, step.status, observed)
        return Plan(step.status, events=events, requeue_after=0.0, proceed=True)
    times = [*(deadline.at for deadline in deadlines), *(step.at for step in steps)]
    return Plan(
        status,
        _actions(session, status, observed, children, now, policy),
        events_between(session.status, status, status, observed),
        _requeue_after(session, status, observed, children, times, now, policy),
    )


def _actions(
    session: VoiceSession, status: Status, observed: Observed, children: Children, now: float, policy: Policy
) -> tuple[Action, ...]:
    wanted = (
        *want_room(session, status, observed, policy),
        *want_pods(session, status, observed, children, now, policy),
        *want_tell(session, status, observed, children),
    )
    return without_failed(wanted, observed)


def _note(session: VoiceSession, observed: Observed, children: Children, now: float, policy: Policy) -> Status:
    status = note_request(session, begin(session, now, policy))
    status = note_room(status, observed, now)
    status = note_agent(session, status, observed, children, now)
    status = note_complete(status, now)
    status = note_ready(status, now)
    state = observed.state_of(children.current)
    status = note_memory(session, status, observed, state, now)
    status = note_health(status, state, now)
    status = note_humans(session, status, observed, state, now)
    return replace(status, phase=str(phase(status)))


def _deadlines(session: VoiceSession, status: Status, observed: Observed, children: Children) -> tuple[Deadline, ...]:
    """In order of rank: of several that are due, the first one is the reason."""
    return (
        *requested(session),
        *max_duration(session, status),
        *agent_lost(session, children),
        *start(session, status),
        *room_lost(session, status, observed),
        *agent_stayed_away(session, status),
        *hopeless(session, status, children),
        *idle(session, status, observed, observed.state_of(children.current)),
        *last_human_left(session, status),
        *nobody_came(session, status),
    )


def _steps(session: VoiceSession, status: Status, children: Children, now: float) -> tuple[Step, ...]:
    """In order of rank, like the deadlines; one at a time, since each changes what the others look at."""
    return (
        *escalations(session, status, children),
        *successions(session, status, children),
        *resets(session, status, now),
    )


def _requeue_after(
    session: VoiceSession,
    status: Status,
    observed: Observed,
    children: Children,
    times: list[float],
    now: float,
    policy: Policy,
) -> float:
    waits = [policy.poll_seconds, *(at - now for at in times)]
    if children.current is None and observed.agent is not None:
        due = replacement_due(session.status, children, now)
        waits += [due - now] if due > now else []
    if isinstance(observed.room, Unknown):
        waits.append(UNKNOWN_SECONDS)
    asked = (retry_after(observed, policy.poll_seconds), ask_again_after(session, status, observed, children, now))
    waits += [wait for wait in asked if wait is not None]
    return max(min(waits), SOONEST_SECONDS)
