"""A small simulated world: Kubernetes, LiveKit and agent pods as far as one session can tell them apart.

Carries out what plan() asks for, the way the reconciler does it: rounds against one stored status, then one write.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from voicesession_operator.api.agent import VoiceAgent
from voicesession_operator.api.session import Status, VoiceSession
from voicesession_operator.domain.actions import (
    Action,
    CreatePod,
    CreateRoom,
    DeletePod,
    DeleteRoom,
    DeleteSession,
    Event,
    Plan,
    Tell,
)
from voicesession_operator.domain.observed import Leave, LeaveReason, Observed, Pod, PodState, Room, Unknown
from voicesession_operator.domain.plan import plan

from tests.builders import IDENTITY, POLICY, T0, agent, agent_participant, human, session

ROUNDS = 4


@dataclass
class World:
    """Everything outside the operator. `now` moves only when a test says so."""

    session: VoiceSession = field(default_factory=lambda: session().limits(max_replacements=2).build())
    now: float = T0
    agent: VoiceAgent | None = field(default_factory=agent)
    room_sid: str = ""
    rooms_made: int = 0
    livekit_up: bool = True
    people: set[str] = field(default_factory=set)
    leave: Leave | None = None
    pods: dict[str, Pod] = field(default_factory=dict)
    told: dict[str, Tell] = field(default_factory=dict)
    gone: bool = False
    writes: int = 0
    events: list[Event] = field(default_factory=list)
    history: list[Status] = field(default_factory=list)
    most_live: int = 0

    def observe(self) -> Observed:
        return Observed(
            agent=self.agent,
            pods=tuple(self.pods.values()),
            room=self._room(),
            pod_state=self._pod_state(),
            leave=self.leave,
        )

    def reconcile(self) -> Plan:
        """One pass: rounds until nothing is asked for, then the status, then the events."""
        found = plan(self.session, self.observe(), self.now, POLICY)
        for _ in range(ROUNDS):
            if not found.actions:
                break
            for action in found.actions:
                self.carry_out(action)
            found = plan(self.session, self.observe(), self.now, POLICY)
        if found.status != self.session.status:
            self.writes += 1
            stored = {key: value for key, value in found.status.render().items() if value is not None}
            self.session = replace(self.session, status=Status.parse(stored))
            self.events += found.events
        self.history.append(self.session.status)
        return found

    def begin_pass(self, actions: int) -> None:
        """Carry out this many actions of one round, and nothing more: the operator dies there."""
        for action in plan(self.session, self.observe(), self.now, POLICY).actions[:actions]:
            self.carry_out(action)

    def carry_out(self, action: Action) -> None:
        match action:
            case CreateRoom():
                if self.livekit_up and not self.room_sid:
                    self.rooms_made += 1
                    self.room_sid = f"RM_{self.rooms_made}"
            case DeleteRoom():
                if self.livekit_up:
                    self.room_sid = ""
                    self.people.clear()
            case CreatePod(manifest):
                self._create_pod(manifest)
            case DeletePod(name=name):
                if name in self.pods:
                    self.pods[name] = replace(self.pods[name], deleting=True)
            case Tell(pod_uid=uid):
                self.told[uid] = action
            case DeleteSession():
                self.gone = True
        self.most_live = max(self.most_live, sum(pod.live for pod in self.pods.values()))

    def start_pods(self) -> None:
        """The kubelet: pending pods run, deleted ones vanish."""
        for name, pod in list(self.pods.items()):
            if pod.deleting:
                del self.pods[name]
            elif pod.phase == "Pending":
                self.pods[name] = replace(pod, phase="Running", ip="10.0.0.1")

    def end_pods(self, phase: str | None) -> None:
        """All running pods end in that phase; None: they vanish without a trace."""
        for name, pod in list(self.pods.items()):
            if phase is None:
                del self.pods[name]
            elif pod.live:
                self.pods[name] = replace(pod, phase=phase)

    def lose_room(self) -> None:
        self.room_sid = ""
        self.people.clear()

    def enter(self, name: str) -> None:
        if self.room_sid and self.livekit_up:
            self.people.add(name)

    def exit(self, reason: LeaveReason) -> None:
        if self.people:
            self.leave = Leave(self.people.pop(), reason, self.now)

    def _create_pod(self, manifest: dict[str, Any]) -> None:
        meta = manifest["metadata"]
        ordinal = int(meta["annotations"]["voicesession.dev/ordinal"])
        self.pods.setdefault(meta["name"], Pod(meta["name"], f"uid-{ordinal}", ordinal, "Pending"))

    def _room(self) -> Room | Unknown | None:
        if not self.livekit_up:
            return Unknown("LiveKitUnavailable", "LiveKit does not answer")
        if not self.room_sid:
            return None
        people = tuple(human(name) for name in sorted(self.people))
        agents = (agent_participant(),) if self._joined() else ()
        return Room(self.room_sid, (*agents, *people))

    def _current(self) -> Pod | None:
        running = [pod for pod in self.pods.values() if pod.live and pod.phase == "Running"]
        return max(running, key=lambda pod: pod.ordinal, default=None)

    def _joined(self) -> bool:
        current = self._current()
        return bool(self.room_sid) and current is not None and current.uid in self.told

    def _pod_state(self) -> PodState | None:
        current = self._current()
        if current is None:
            return None
        told = self.told.get(current.uid)
        if told is None:
            return PodState("Unbound")
        assert told.identity == IDENTITY
        sid = "PA_agent" if self._joined() else ""
        return PodState("Bound", told.session_uid, told.epoch, sid, told.memory_agent_id)
