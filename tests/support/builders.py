"""Fluent builders of the operator's values: a test sets only the relevant fields of an ordinary session."""

from dataclasses import dataclass, replace
from typing import Any

from voicesession_common.api.conditions import Condition
from voicesession_common.api.voiceagent import Inherited, Limits, VoiceAgent
from voicesession_common.api.voicesession import Status, VoiceSession
from voicesession_operator.domain.agent_plan import Memory
from voicesession_operator.domain.naming import agent_identity, pod_name, room_name
from voicesession_operator.domain.observed import (
    AgentPod,
    AgentPodState,
    Config,
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

UID = "0b1f6a52-7d1c-4b0e-9d57-1a2b3c4d5e6f"
ROOM = room_name(UID)
AGENT = "agent-66"
IDENTITY = agent_identity(AGENT)
T0 = 1_763_853_600.0
"""Creation time of every built session."""

CONFIG = Config(
    agent_image="voicesession/agent:0.1.0",
    pull_policy="IfNotPresent",
    control_public_key="bm90IGEga2V5LCBqdXN0IDMyIGJ5dGVzIG9mIGl0ISE=",
    livekit_url="ws://livekit:7880",
    public_url="ws://livekit.example:7880",
    installation_id="installation-1",
)


def agent(**spec: Any) -> VoiceAgent:
    return VoiceAgent.parse(
        {
            "metadata": {"namespace": "default", "name": AGENT, "uid": "agent-uid", "generation": 1},
            "spec": {"displayName": "Agent_66", **spec},
        }
    )


@dataclass(frozen=True)
class SessionBuilder:
    session: VoiceSession

    def limits(self, **values: Any) -> "SessionBuilder":
        return SessionBuilder(replace(self.session, limits=Limits(**values)))

    def graces(self, left: float, lost: float) -> "SessionBuilder":
        graces = replace(self.session.on_last_human_left, grace_seconds=left, reconnect_grace_seconds=lost)
        return SessionBuilder(replace(self.session, on_last_human_left=graces))

    def action(self, action: str) -> "SessionBuilder":
        return SessionBuilder(
            replace(self.session, on_last_human_left=replace(self.session.on_last_human_left, action=action))
        )

    def user(self, name: str) -> "SessionBuilder":
        return SessionBuilder(replace(self.session, user=name))

    def agent_metadata(self, text: str) -> "SessionBuilder":
        return SessionBuilder(replace(self.session, agent_metadata=text))

    def ttl(self, seconds: float | None) -> "SessionBuilder":
        return SessionBuilder(replace(self.session, ttl_seconds_after_finished=seconds))

    def expecting_human(self, at: float) -> "SessionBuilder":
        """Set the time of the gateway's latest token."""
        return SessionBuilder(replace(self.session, human_expected_at=at))

    def request(self, value: str) -> "SessionBuilder":
        """Set the annotation that requests a reset."""
        return SessionBuilder(replace(self.session, reset_request=value))

    def ending(self) -> "SessionBuilder":
        return SessionBuilder(replace(self.session, end=True))

    def deleting(self) -> "SessionBuilder":
        return SessionBuilder(replace(self.session, deleting=True))

    def status(self, **values: Any) -> "SessionBuilder":
        return SessionBuilder(replace(self.session, status=replace(self.session.status, **values)))

    def stored(self, status: Status) -> "SessionBuilder":
        return SessionBuilder(replace(self.session, status=status))

    def build(self) -> VoiceSession:
        return self.session


def session(name: str = "hello", uid: str = UID) -> SessionBuilder:
    return SessionBuilder(VoiceSession("default", name, uid, 1, T0, AGENT))


def ready_session(at: float = T0 + 5) -> SessionBuilder:
    """Return a session with an agent that joined at `at`, before the first human."""
    conditions = tuple(
        Condition(kind, "True", reason, message, at)
        for kind, reason, message in (
            ("RoomReady", "RoomCreated", "The room exists"),
            ("AgentJoined", "Joined", "The agent is in the room"),
            ("Ready", "Ready", "The agent is in the room"),
        )
    )
    return session().status(
        observed_generation=1,
        inherited=Inherited(),
        conditions=conditions,
        phase="Ready",
        room_name=ROOM,
        room_sid="RM_1",
        room_url=CONFIG.public_url,
        agent_pod=pod_name("hello", UID, 0),
        pod_ordinal=0,
        agent_identity=IDENTITY,
        agent_epoch=1,
        started_at=T0,
        ready_at=at,
    )


def pod(ordinal: int = 0, phase: str = "Running", ip: str = "10.0.0.1", **values: Any) -> AgentPod:
    return AgentPod(pod_name("hello", UID, ordinal), f"pod-uid-{ordinal}", ordinal, phase, ip, **values)


def human(identity: str = "alice", **values: Any) -> Participant:
    given = {"sid": f"PA_{identity}", "kind": ParticipantKind.STANDARD, "active": True, **values}
    return Participant(identity, **given)


def connecting(identity: str = "alice", **values: Any) -> Participant:
    """Return a human that LiveKit lists before their media is connected."""
    return human(identity, active=False, **values)


def agent_participant(sid: str = "PA_agent", active: bool = True, epoch: int = 1) -> Participant:
    attributes = {"voicesession.role": "agent", "voicesession.epoch": str(epoch)}
    return Participant(IDENTITY, sid, ParticipantKind.AGENT, active, attributes=attributes)


def bound(**values: Any) -> AgentPodState:
    """Return the state of a bound pod with its job in the room."""
    given = {"state": "Bound", "session_uid": UID, "epoch": 1, "job_epoch": 1, "participant_sid": "PA_agent", **values}
    return AgentPodState(**given)


@dataclass(frozen=True)
class ObservedBuilder:
    observed: Observed

    def no_agent(self) -> "ObservedBuilder":
        return ObservedBuilder(replace(self.observed, agent=None))

    def agent(self, definition: VoiceAgent) -> "ObservedBuilder":
        return ObservedBuilder(replace(self.observed, agent=definition))

    def pods(self, *pods: AgentPod) -> "ObservedBuilder":
        return ObservedBuilder(replace(self.observed, pods=pods))

    def room(self, *participants: Participant, sid: str = "RM_1") -> "ObservedBuilder":
        return ObservedBuilder(replace(self.observed, room=Room(sid, participants)))

    def no_room(self) -> "ObservedBuilder":
        return ObservedBuilder(replace(self.observed, room=None))

    def livekit_down(self) -> "ObservedBuilder":
        return ObservedBuilder(
            replace(self.observed, room=RoomUnknown("LiveKitUnavailable", "LiveKit does not answer"))
        )

    def unreadable_room(self, since: float) -> "ObservedBuilder":
        """Let LiveKit list the room, but not its participants."""
        return ObservedBuilder(
            replace(self.observed, room=RoomUnknown("LiveKitUnavailable", "LiveKit answers unavailable", since))
        )

    def state(self, state: AgentPodState | None, ordinal: int = 0) -> "ObservedBuilder":
        """Set the answer of the pod with that ordinal; None if it does not answer."""
        others = {uid: other for uid, other in self.observed.pod_states.items() if uid != f"pod-uid-{ordinal}"}
        states = others if state is None else {**others, f"pod-uid-{ordinal}": state}
        return ObservedBuilder(replace(self.observed, pod_states=states))

    def user_memory(self, memory: Memory) -> "ObservedBuilder":
        return ObservedBuilder(replace(self.observed, user_memory=memory))

    def seen(self, *humans: Participant, at: float = T0 + 50, room_sid: str = "RM_1") -> "ObservedBuilder":
        """Set the latest look that found humans."""
        return ObservedBuilder(replace(self.observed, last_seen=LastSeen(at, room_sid, humans)))

    def leave(
        self, reason: LeaveReason, at: float, identity: str = "alice", reported_at: float | None = None
    ) -> "ObservedBuilder":
        """Add a webhook that arrived at `at`."""
        hint = LeaveHint(f"PA_{identity}", reason, at, at if reported_at is None else reported_at)
        return ObservedBuilder(replace(self.observed, leave_hints=(*self.observed.leave_hints, hint)))

    def failed(self, action: str, reason: str, message: str, terminal: bool = False) -> "ObservedBuilder":
        failure = Failure(action, reason, message, terminal)
        return ObservedBuilder(replace(self.observed, failures=(*self.observed.failures, failure)))

    def build(self) -> Observed:
        return self.observed


def empty_cluster() -> ObservedBuilder:
    """Return observations of a cluster with only the VoiceAgent."""
    return ObservedBuilder(Observed(agent()))


def joined_cluster() -> ObservedBuilder:
    """Return observations of a running, bound pod whose agent is alone in the room."""
    return empty_cluster().pods(pod()).room(agent_participant()).state(bound())
