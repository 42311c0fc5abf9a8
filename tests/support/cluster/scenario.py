"""One test's corner of the cluster: a namespace, its sessions, and who is in their rooms."""

from tests.support.cluster import manifests
from tests.support.cluster.kubectl import Json, Kube, KubectlError, Session
from tests.support.cluster.rooms import LiveKit
from tests.support.participants.human import Visitor
from tests.support.polling import until

START_SECONDS = 120
GONE_SECONDS = 60
RESET_SECONDS = 20
"""The contract's 10 s until a reset is escalated, and a busy machine."""
AGENT_POD = "app.kubernetes.io/component=agent-pod"


class Trial:
    """Made for one namespace; everything it starts is stopped by `close`."""

    def __init__(self, kube: Kube, livekit: LiveKit, namespace: str) -> None:
        self.kube, self.livekit, self.namespace = kube, livekit, namespace
        self._visitors: list[Visitor] = []

    def fake_agent(self, name: str = "fake", **env: str) -> None:
        self.kube.apply(manifests.fake_agent(name, self.namespace, **env))

    def start(self, name: str, agent: str = "fake", ttl: int = 600, **seconds: int) -> None:
        """Apply a session without waiting for it; `seconds` as in objects.session."""
        self.kube.apply(manifests.session(name, self.namespace, agent, ttl, **seconds))

    def ready(self, name: str, agent: str = "fake", **seconds: int) -> Session:
        """Apply a session and wait until it is Ready."""
        self.start(name, agent, **seconds)
        self.kube.wait(f"voicesession/{name}", "condition=Ready", self.namespace, START_SECONDS)
        return self.session(name)

    def session(self, name: str) -> Session:
        found = self.find(name)
        assert found, f"no voicesession {name}"
        return found

    def find(self, name: str) -> Session | None:
        """The session; one read that fails while the API server is busy counts as not found yet."""
        try:
            return self.kube.session(name, self.namespace)
        except KubectlError:
            return None

    def visit(self, name: str, identity: str = "alice") -> Visitor:
        """A human joins and stays; returns when LiveKit and the session's status show her."""
        room = self.session(name).room
        visitor = Visitor(self.livekit, name, self.namespace, room, identity)
        self._visitors.append(visitor)
        visitor.joined()
        until(lambda: self.session(name).status.get("humans"), "status.humans", 30)
        return visitor

    def agent_sid(self, session: Session) -> str:
        """The SID of the agent that is in the session's room now, or an empty string."""
        return self.livekit.sid(session.room, session.identity)

    def pods(self) -> list[Json]:
        return self.kube.all("pods", self.namespace, AGENT_POD)

    def finished(self, name: str, seconds: float) -> Session:
        """Wait for the end; returns the session as it then is."""

        def check() -> Session | None:
            found = self.find(name)
            return found if found and found.is_true("Finished") else None

        return until(check, f"session {name} finished", seconds)

    def reset_complete(self, name: str, number: int, seconds: float = RESET_SECONDS) -> Session:
        """Wait until the session's `number`-th reset (or recycle) is over and its agent was seen in the room."""

        def check() -> Session | None:
            found = self.find(name)
            return found if found and _is_complete(found, number) else None

        try:
            return until(check, f"reset {number} of {name}", seconds)
        except AssertionError as late:
            status = self.session(name).status
            told = {key: status.get(key) for key in ("resets", "replacements", "lastReset", "phase", "conditions")}
            raise AssertionError(f"{late}; status: {told}") from None

    def gone(self, seconds: float = GONE_SECONDS) -> None:
        """Wait until the namespace has neither rooms nor agent pods."""
        until(lambda: not self.livekit.rooms(self.namespace), "no rooms", seconds)
        until(lambda: not self.pods(), "no agent pods", seconds)

    def trouble(self, name: str, kind: str, words: str, seconds: float = 60) -> Json:
        """Wait until a condition is not True and its reason or message has these words; returns it."""

        def check() -> Json | None:
            found = self.find(name)
            condition = found.condition(kind) if found else {}
            said = f"{condition.get('reason')} {condition.get('message')}".lower()
            return condition if condition.get("status") in ("False", "Unknown") and words.lower() in said else None

        return until(check, f"{kind} of {name} says {words!r}", seconds)

    def one_event(self, name: str, reason: str) -> None:
        """Exactly one event with this reason, told once."""
        found: list[Json] = until(lambda: self.kube.events(self.namespace, name, reason), f"event {reason}", 30)
        assert len(found) == 1, [e["message"] for e in found]
        assert (found[0].get("count") or 1) == 1, found[0]["message"]

    def event(self, name: str, reason: str, words: str = "", seconds: float = 30) -> Json:
        """Wait for an event with this reason and these words in its message; returns it."""

        def check() -> Json | None:
            found = self.kube.events(self.namespace, name, reason)
            return next((event for event in found if words in event["message"]), None)

        return until(check, f"event {reason} of {name} with {words!r}", seconds)

    def close(self) -> None:
        for visitor in self._visitors:
            visitor.kill()


def _is_complete(session: Session, number: int) -> bool:
    last = session.status.get("lastReset") or {}
    is_over = last.get("completedAt") is not None and last.get("outcome") == "Complete"
    return session.status.get("resets") == number and is_over and session.is_true("AgentJoined")
