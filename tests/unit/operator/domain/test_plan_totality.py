"""Properties of plan() for arbitrary sessions and observations, also impossible ones."""

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st
from voicesession_common.api.conditions import Condition
from voicesession_common.api.reasons import Action, Cause, Reason, ResetOutcome
from voicesession_common.api.voiceagent import Limits, OnLastHumanLeft
from voicesession_common.api.voicesession import Absence, LastReset, Outage, Status, VoiceSession
from voicesession_operator.domain.agent_plan import Invalid, NotConfigured, Resolved, Unavailable
from voicesession_operator.domain.naming import pod_name
from voicesession_operator.domain.observed import (
    AgentPod,
    AgentPodState,
    Failure,
    LastSeen,
    LeaveHint,
    LeaveReason,
    Observed,
    Participant,
    ParticipantKind,
    Room,
    RoomUnknown,
)
from voicesession_operator.domain.plan import plan

from tests.support.builders import AGENT, CONFIG, T0, UID, agent, ready_session, session

TEXT = st.text(max_size=8)
TIMES = st.one_of(st.floats(), st.floats(T0 - 100, T0 + 1000))
CLOCK = st.floats(T0 - 100, T0 + 1000)
SIDS = st.sampled_from(("", "PA_1", "PA_2"))
ROOM_SIDS = st.sampled_from(("RM_1", "RM_2"))
STORED_TIMES = st.one_of(st.none(), CLOCK)
NUMBERS = st.integers(-5, 10**9)
REQUESTS = st.one_of(TEXT, st.sampled_from(("", "2026-01-31T12:00:00Z", "2026-01-31T12:00:01+01:00")))

POD_NAMES = st.sampled_from(("", "a", pod_name("hello", UID, 0), pod_name("hello", UID, 1)))
pods = st.builds(
    AgentPod,
    name=POD_NAMES,
    uid=TEXT,
    ordinal=st.integers(-1, 50),
    phase=st.sampled_from(("Pending", "Running", "Failed", "Succeeded", "Unknown", "")),
    ip=st.sampled_from(("", "10.0.0.1")),
    deleting=st.booleans(),
    problem=TEXT,
)
participants = st.builds(
    Participant,
    identity=TEXT,
    sid=SIDS,
    kind=st.sampled_from(ParticipantKind),
    active=st.booleans(),
    can_update_metadata=st.booleans(),
    attributes=st.dictionaries(
        st.sampled_from(("voicesession.role", "sip.callStatus", "lk.publish_on_behalf")),
        st.sampled_from(("", "human", "observer", "ringing")),
    ),
)
rooms = st.one_of(
    st.none(),
    st.builds(RoomUnknown, TEXT, TEXT),
    st.builds(Room, ROOM_SIDS, st.lists(participants, max_size=4).map(tuple)),
)
states = st.builds(
    AgentPodState,
    state=TEXT,
    session_uid=st.sampled_from(("", UID)),
    participant_sid=TEXT,
    job_epoch=NUMBERS,
    participant_epoch=TEXT,
    active_at=st.one_of(st.none(), TIMES),
    health=st.sampled_from(("", "Ok", "Stuck", "?")),
    left_identity=TEXT,
    left_reason=TEXT,
    left_at=TIMES,
)
actions = st.sampled_from(("CreateRoom", "CreatePod", "SetPodState", "?"))
clusters = st.builds(
    Observed,
    agent=st.sampled_from((None, agent(), agent(memory={"letta": {"scope": "User"}}))),
    pods=st.lists(pods, max_size=4).map(tuple),
    room=rooms,
    pod_states=st.dictionaries(TEXT, states, max_size=3),
    user_memory=st.sampled_from((None, Resolved("a"), Unavailable("x"), Invalid("y"), NotConfigured())),
    watched_since=st.one_of(st.just(-inf), CLOCK),
    leave_hints=st.lists(st.builds(LeaveHint, SIDS, st.sampled_from(LeaveReason), CLOCK, CLOCK), max_size=3).map(tuple),
    last_seen=st.one_of(
        st.none(), st.builds(LastSeen, CLOCK, ROOM_SIDS, st.lists(participants, max_size=2).map(tuple))
    ),
    failures=st.lists(st.builds(Failure, actions, TEXT, TEXT, st.booleans()), max_size=3).map(tuple),
)
conditions = st.lists(
    st.builds(
        Condition,
        st.sampled_from(("RoomReady", "AgentJoined", "Ready", "Finished", "MemoryReady", "AgentHealthy")),
        st.sampled_from(("True", "False", "Unknown")),
        st.one_of(TEXT, st.sampled_from(Reason)),
        TEXT,
        st.floats(T0 - 100, T0 + 1000),
    ),
    max_size=6,
    unique_by=lambda condition: condition.type,
).map(tuple)
statuses = st.builds(
    Status,
    conditions=conditions,
    agent_pod=POD_NAMES,
    next_pod=POD_NAMES,
    refused_request=REQUESTS,
    replacements=st.integers(0, 3),
    recycles=st.integers(0, 3),
    resets=st.integers(0, 3),
    last_reset=st.one_of(
        st.none(),
        st.builds(
            LastReset,
            st.sampled_from(Cause),
            st.floats(T0, T0 + 1000),
            STORED_TIMES,
            st.sampled_from(ResetOutcome),
            REQUESTS,
        ),
    ),
    outages=st.lists(st.builds(Outage, CLOCK, CLOCK), max_size=9).map(tuple),
    absence=st.one_of(st.none(), st.builds(Absence, POD_NAMES, CLOCK, st.booleans())),
    replaced_at=st.one_of(st.none(), st.lists(CLOCK, max_size=4).map(tuple)),
    humans=st.integers(0, 9),
    started_at=STORED_TIMES,
    ready_at=STORED_TIMES,
    first_human_at=STORED_TIMES,
    last_human_left_at=STORED_TIMES,
    last_human_left_reason=st.sampled_from(("", "Left", "ConnectionLost", "Unknown")),
    finished_at=STORED_TIMES,
)
sessions = st.builds(
    VoiceSession,
    namespace=st.just("default"),
    name=st.just("hello"),
    uid=st.just(UID),
    generation=st.just(1),
    created_at=st.just(T0),
    agent_ref=st.just(AGENT),
    user=st.sampled_from(("", "alice")),
    deleting=st.booleans(),
    end=st.booleans(),
    on_last_human_left=st.builds(OnLastHumanLeft, st.sampled_from(Action), NUMBERS, NUMBERS),
    limits=st.builds(Limits, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.integers(-1, 10)),
    ttl_seconds_after_finished=st.one_of(st.none(), NUMBERS),
    reset_request=REQUESTS,
    human_expected_at=STORED_TIMES,
    status=statuses,
)


@settings(max_examples=400, deadline=None)
@given(sessions, clusters, st.floats(T0 - 100, T0 + 10_000))
def test_plan_is_total_and_storable(made: VoiceSession, observed: Observed, now: float) -> None:
    found = plan(made, observed, now, CONFIG)
    assert found.status.render()
    assert found.requeue_after is None or found.requeue_after >= 0.0
    assert plan(made, observed, now, CONFIG) == found


@settings(max_examples=200, deadline=None)
@given(clusters, st.floats(T0, T0 + 10_000))
def test_live_session_is_always_requeued(observed: Observed, now: float) -> None:
    for made in (session().build(), ready_session().build()):
        wait = plan(made, observed, now, CONFIG).requeue_after
        assert wait is not None
        assert wait <= CONFIG.poll_seconds
