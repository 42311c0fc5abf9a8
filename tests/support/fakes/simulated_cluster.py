"""A simulation of Kubernetes, LiveKit and agent pods, as far as one session can observe them.

It executes plans like the reconciler: several rounds against one stored status, then one write. A decision is written
immediately.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicesession import Status, VoiceSession
from voicesession_operator.domain.actions import (
    Action,
    CreatePod,
    CreateRoom,
    DeletePod,
    DeleteRoom,
    DeleteSession,
    Event,
    Plan,
    SetPodState,
)
from voicesession_operator.domain.observed import (
    AgentPod,
    AgentPodState,
    LeaveReason,
    Observed,
    Room,
    RoomUnknown,
)
from voicesession_operator.domain.plan import plan

from tests.support.builders import CONFIG, IDENTITY, T0, agent, agent_participant, connecting, human, session
from tests.support.fakes.simulated_webhooks import SimulatedWebhooks

ROUNDS = 6
CONNECT_SECONDS = 60.0
"""Time limit of LiveKit 1.13.5 for a participant to become ACTIVE (pkg/rtc/room.go)."""


@dataclass
class SimulatedCluster:
    """The systems outside the operator. Only tests change `now`."""

    session: VoiceSession = field(default_factory=lambda: session().limits(max_replacements=2).build())
    now: float = T0
    operator_skew: float = 0.0
    agent: VoiceAgent | None = field(default_factory=agent)
    room_sid: str = ""
    rooms_created: int = 0
    livekit_up: bool = True
    humans: dict[str, str] = field(default_factory=dict)
    """Participant SIDs of the connected humans, by name."""
    arriving: dict[str, float] = field(default_factory=dict)
    """Humans that are not connected yet, with the time at which they started to connect."""
    visits: int = 0
    webhooks: SimulatedWebhooks = field(default_factory=SimulatedWebhooks)
    pod_clock_skew: float = 0.0
    agent_report: tuple[str, str, float] = ("", "", 0.0)
    """Identity, reason and time of the last human's leave, as seen by the agent in the room."""
    last_leave: tuple[LeaveReason, float] | None = None
    """The true reason and time at which the last human left; None while one is in the room."""
    pods: dict[str, AgentPod] = field(default_factory=dict)
    desired: dict[str, SetPodState] = field(default_factory=dict)
    jobs: dict[str, int] = field(default_factory=dict)
    """Epoch of the newest job, by pod UID."""
    occupant: str = ""
    """UID of the pod with its job in the room."""
    absent: bool = False
    """LiveKit has lost the agent, but its pod has not noticed."""
    jobs_hang: bool = False
    silent: bool = False
    """Control ports do not answer."""
    session_deleted: bool = False
    writes: int = 0
    events: list[Event] = field(default_factory=list)
    history: list[Status] = field(default_factory=list)
    most_live: int = 0
    most_live_without_recycle: int = 0

    def observe(self) -> Observed:
        room = self._room()
        self.webhooks.on_observed(room, self.now)
        return Observed(
            agent=self.agent,
            pods=tuple(self.pods.values()),
            room=room,
            pod_states=self._pod_states(),
            leave_hints=self.webhooks.hints,
            last_seen=self.webhooks.last_seen,
        )

    def reconcile(self) -> Plan:
        """Run one pass: rounds until a plan has no actions, then the status and the events."""
        for _ in range(ROUNDS):
            found = plan(self.session, self.observe(), self.now + self.operator_skew, CONFIG)
            if found.is_decision:
                self.store(found)
                continue
            if not found.actions:
                break
            for action in found.actions:
                self.execute(action)
        self.store(found)
        self.history.append(self.session.status)
        return found

    def store(self, found: Plan) -> None:
        if found.status == self.session.status:
            return
        self.writes += 1
        stored = {key: value for key, value in found.status.render().items() if value is not None}
        self.session = replace(self.session, status=Status.parse(stored))
        self.events += found.events
        self.history.append(self.session.status)

    def execute_partially(self, actions: int) -> None:
        """Execute this many actions of one round, like an operator that dies then."""
        for action in plan(self.session, self.observe(), self.now + self.operator_skew, CONFIG).actions[:actions]:
            self.execute(action)

    def store_decision_only(self) -> None:
        """Store the due decision without its actions, like an operator that dies then."""
        found = plan(self.session, self.observe(), self.now + self.operator_skew, CONFIG)
        if found.is_decision:
            self.store(found)

    def execute(self, action: Action) -> None:
        match action:
            case CreateRoom():
                if self.livekit_up and not self.room_sid:
                    self.rooms_created += 1
                    self.room_sid = f"RM_{self.rooms_created}"
            case DeleteRoom():
                if self.livekit_up:
                    self.lose_room()
            case CreatePod(manifest):
                self._create_pod(manifest)
            case DeletePod(name=name):
                if name in self.pods:
                    self.pods[name] = replace(self.pods[name], deleting=True)
            case SetPodState(pod_uid=uid):
                assert action.identity == IDENTITY
                if not self.silent and (uid not in self.desired or self.desired[uid].epoch <= action.epoch):
                    self.desired[uid] = action
            case DeleteSession():
                self.session_deleted = True
        self._run_jobs()
        self._count_live()

    def start_pods(self) -> None:
        """Start pending pods and remove deleted ones, like the kubelet."""
        for name, pod in list(self.pods.items()):
            if pod.deleting:
                del self.pods[name]
            elif pod.phase == "Pending":
                self.pods[name] = replace(pod, phase="Running", ip="10.0.0.1")

    def end_pods(self, phase: str | None, newest_only: bool = False) -> None:
        """End live pods in that phase, or remove pods without a trace if it is None."""
        pods = sorted(self.pods.values(), key=lambda pod: pod.ordinal)
        for pod in pods[-1:] if newest_only else pods:
            if phase is None:
                del self.pods[pod.name]
            elif pod.live:
                self.pods[pod.name] = replace(pod, phase=phase)
        self._run_jobs()

    def lose_room(self) -> None:
        if self.humans:
            self.last_leave = (LeaveReason.CONNECTION_LOST, self.now)
        self.room_sid = ""
        self.humans.clear()
        self.arriving.clear()

    def lose_agent(self) -> None:
        self.absent = bool(self.occupant)

    def set_jobs_hanging(self, hang: bool) -> None:
        self.jobs_hang = hang
        self._run_jobs()

    def join(self, name: str) -> None:
        if self.room_sid and self.livekit_up:
            self.visits += 1
            self.humans.setdefault(name, f"PA_{name}_{self.visits}")
            self.arriving.pop(name, None)
            self.last_leave, self.agent_report = None, ("", "", 0.0)

    def start_joining(self, name: str) -> None:
        """List a human whose media connects later, by `join`, or never."""
        if self.room_sid and self.livekit_up and name not in self.humans:
            self.arriving = self.connecting_since()
            self.arriving.setdefault(name, self.now)

    def connecting_since(self) -> dict[str, float]:
        """Return the humans that are connecting, without those that LiveKit has removed after CONNECT_SECONDS."""
        return {name: at for name, at in self.arriving.items() if self.now - at < CONNECT_SECONDS}

    def leave(self, reason: LeaveReason) -> None:
        if not self.humans:
            return
        name, sid = self.humans.popitem()
        self.webhooks.send(sid, reason, self.now)
        if self.humans:
            return
        self.last_leave = (reason, self.now)
        if self.occupant and not self.absent:
            disconnect_reason = "CLIENT_INITIATED" if reason == LeaveReason.LEFT else "CONNECTION_TIMEOUT"
            self.agent_report = (name, disconnect_reason, self.now + self.pod_clock_skew)

    def _create_pod(self, manifest: dict[str, Any]) -> None:
        meta = manifest["metadata"]
        ordinal = int(meta["annotations"]["voicesession.dev/ordinal"])
        uid = f"uid-{ordinal}-{len(self.desired)}"
        self.pods.setdefault(meta["name"], AgentPod(meta["name"], uid, ordinal, "Pending", created_at=self.now))

    def _count_live(self) -> None:
        live = sum(pod.live for pod in self.pods.values())
        self.most_live = max(self.most_live, live)
        if not self.session.status.next_pod:
            self.most_live_without_recycle = max(self.most_live_without_recycle, live)

    def _run_jobs(self) -> None:
        """Start a job for every new epoch. A joining agent disconnects the previous one, which stays out."""
        live = {pod.uid: pod for pod in self.pods.values() if pod.live and pod.phase == "Running"}
        if self.occupant not in live:
            self.occupant = ""
        if self.jobs_hang:
            return
        for uid in live:
            desired = self.desired.get(uid)
            if desired is not None and self.jobs.get(uid, 0) < desired.epoch:
                self.jobs[uid] = desired.epoch
                self.agent_report = ("", "", 0.0)
                self._join_room(uid)
        if not self.occupant:
            for uid in live.keys() & self.jobs.keys():
                self._join_room(uid)

    def _join_room(self, uid: str) -> None:
        self.occupant, self.absent = uid, False

    def _room(self) -> Room | RoomUnknown | None:
        if not self.livekit_up:
            return RoomUnknown("LiveKitUnavailable", "LiveKit does not answer")
        if not self.room_sid:
            return None
        self._run_jobs()
        humans = (
            *(human(name, sid=sid) for name, sid in sorted(self.humans.items())),
            *(connecting(name, joined_at=at) for name, at in sorted(self.connecting_since().items())),
        )
        agents = (agent_participant(self._sid()),) if self.occupant and not self.absent else ()
        return Room(self.room_sid, (*agents, *humans))

    def _sid(self) -> str:
        return f"PA_{self.occupant}_{self.jobs[self.occupant]}"

    def _pod_states(self) -> dict[str, AgentPodState]:
        running = [pod for pod in self.pods.values() if pod.live and pod.phase == "Running"]
        return {} if self.silent else {pod.uid: self._pod_state(pod.uid) for pod in running}

    def _pod_state(self, uid: str) -> AgentPodState:
        desired = self.desired.get(uid)
        if desired is None:
            return AgentPodState("Unbound")
        epoch = self.jobs.get(uid, 0)
        agent_in_room = self.occupant == uid and bool(self.room_sid) and epoch == desired.epoch
        sid = self._sid() if agent_in_room else ""
        identity, reason, left_at = self.agent_report if agent_in_room else ("", "", 0.0)
        return AgentPodState(
            "Bound",
            desired.session_uid,
            desired.epoch,
            sid,
            epoch,
            memory_agent_id=desired.memory_agent_id,
            left_identity=identity,
            left_reason=reason,
            left_at=left_at,
        )
