"""A namespace with VoiceAgents, sessions and humans for one test."""

from tests.support.cluster import manifests
from tests.support.cluster.kubectl import Json, Kube, KubectlError, Session
from tests.support.cluster.rooms import LiveKit
from tests.support.participants.human import SilentHuman
from tests.support.polling import until

START_SECONDS = 120
EMPTY_SECONDS = 60
RESET_SECONDS = 20
"""10 s until a reset is escalated, and the delay of a busy machine."""
AGENT_POD = "app.kubernetes.io/component=agent-pod"


class Scenario:
    """Sessions and humans in one namespace; `close` ends the processes of all humans."""

    def __init__(self, kube: Kube, livekit: LiveKit, namespace: str) -> None:
        self.kube, self.livekit, self.namespace = kube, livekit, namespace
        self._humans: list[SilentHuman] = []

    def apply_fake_agent(self, name: str = "fake", **env: str) -> None:
        """Apply a VoiceAgent that joins the room and does nothing else."""
        self.kube.apply(manifests.fake_agent(name, self.namespace, **env))

    def apply_session(self, name: str, agent: str = "fake", ttl: int = 600, **seconds: int) -> None:
        """Apply a session without waiting for it; `seconds` are those of manifests.session."""
        self.kube.apply(manifests.session(name, self.namespace, agent, ttl, **seconds))

    def start_session(self, name: str, agent: str = "fake", **seconds: int) -> Session:
        """Apply a session and wait until it is Ready."""
        self.apply_session(name, agent, **seconds)
        self.kube.wait(f"voicesession/{name}", "condition=Ready", self.namespace, START_SECONDS)
        return self.session(name)

    def session(self, name: str) -> Session:
        """Return the session, which must exist."""
        found = self.find_session(name)
        assert found, f"no voicesession {name}"
        return found

    def find_session(self, name: str) -> Session | None:
        """Return the session, or None if it does not exist or the busy API server fails the read."""
        try:
            return self.kube.session(name, self.namespace)
        except KubectlError:
            return None

    def join_human(self, name: str, identity: str = "alice") -> SilentHuman:
        """Let a human join the session's room; return when LiveKit and the session's status show them."""
        room = self.session(name).room
        human = SilentHuman(self.livekit, name, self.namespace, room, identity)
        self._humans.append(human)
        human.wait_until_joined()
        until(lambda: self.session(name).status.get("humans"), "status.humans", 30)
        return human

    def agent_sid(self, session: Session) -> str:
        """Return the SID of the agent that is now in the session's room, or an empty string."""
        return self.livekit.sid(session.room, session.identity)

    def agent_pods(self) -> list[Json]:
        """Return the agent pods of the namespace."""
        return self.kube.all("pods", self.namespace, AGENT_POD)

    def wait_until_finished(self, name: str, seconds: float) -> Session:
        """Wait until the session is Finished and return it."""

        def check() -> Session | None:
            found = self.find_session(name)
            return found if found and found.is_true("Finished") else None

        return until(check, f"session {name} finished", seconds)

    def wait_for_reset(self, name: str, number: int, seconds: float = RESET_SECONDS) -> Session:
        """Wait until the session's `number`-th reset (or recycle) is complete and its agent is in the room."""

        def check() -> Session | None:
            found = self.find_session(name)
            return found if found and _is_complete(found, number) else None

        try:
            return until(check, f"reset {number} of {name}", seconds)
        except AssertionError as late:
            status = self.session(name).status
            excerpt = {key: status.get(key) for key in ("resets", "replacements", "lastReset", "phase", "conditions")}
            raise AssertionError(f"{late}; status: {excerpt}") from None

    def wait_until_empty(self, seconds: float = EMPTY_SECONDS) -> None:
        """Wait until the namespace has neither rooms nor agent pods."""
        until(lambda: not self.livekit.rooms(self.namespace), "no rooms", seconds)
        until(lambda: not self.agent_pods(), "no agent pods", seconds)

    def wait_for_false_condition(self, name: str, kind: str, text: str, seconds: float = 60) -> Json:
        """Wait until a condition is not True and its reason or message contains the text; return the condition."""

        def check() -> Json | None:
            found = self.find_session(name)
            condition = found.condition(kind) if found else {}
            shown = f"{condition.get('reason')} {condition.get('message')}".lower()
            return condition if condition.get("status") in ("False", "Unknown") and text.lower() in shown else None

        return until(check, f"{kind} of {name} contains {text!r}", seconds)

    def assert_single_event(self, name: str, reason: str) -> None:
        """Wait for an event with this reason; fail if there are several or if its count is above 1."""
        found: list[Json] = until(lambda: self.kube.events(self.namespace, name, reason), f"event {reason}", 30)
        assert len(found) == 1, [e["message"] for e in found]
        assert (found[0].get("count") or 1) == 1, found[0]["message"]

    def wait_for_event(self, name: str, reason: str, text: str = "", seconds: float = 30) -> Json:
        """Wait for an event with this reason and this text in its message; return it."""

        def check() -> Json | None:
            found = self.kube.events(self.namespace, name, reason)
            return next((event for event in found if text in event["message"]), None)

        return until(check, f"event {reason} of {name} with {text!r}", seconds)

    def close(self) -> None:
        """Kill the processes of all humans that are still in a room."""
        for human in self._humans:
            human.kill()


def _is_complete(session: Session, number: int) -> bool:
    last = session.status.get("lastReset") or {}
    is_over = last.get("completedAt") is not None and last.get("outcome") == "Complete"
    return session.status.get("resets") == number and is_over and session.is_true("AgentJoined")
