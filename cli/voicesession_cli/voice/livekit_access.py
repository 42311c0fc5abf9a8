"""What `talk` needs of the cluster: one session, once it is Ready, and LiveKit's key."""

import base64
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from livekit import api

from voicesession_cli.errors import CommandError
from voicesession_cli.kube_client import AGENTS, SECRETS, Api, path

ROLE_ATTRIBUTE: Final = "voicesession.role"


def human_token(key: str, secret: str, room: str, identity: str, name: str, ttl_seconds: float = 3600) -> str:
    """A LiveKit JWT: join and speak in `room` only; its role attribute says human, whatever LiveKit would guess."""
    return (
        api.AccessToken(key, secret)
        .with_identity(identity)
        .with_name(name)
        .with_kind("standard")
        .with_attributes({ROLE_ATTRIBUTE: "human"})
        .with_ttl(timedelta(seconds=ttl_seconds))
        .with_grants(api.VideoGrants(room_join=True, room=room))
        .to_jwt()
    )


LIVEKIT_CREDENTIALS: Final = "voicesession.dev/livekit-credentials=true"
POLL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Session:
    """A VoiceSession that is Ready."""

    namespace: str
    name: str
    room: str
    url: str
    agent: str
    agent_identity: str


@dataclass(frozen=True)
class Key:
    key: str
    secret: str


class Cluster:
    """Every method blocks and raises CommandError with one clear line."""

    def __init__(self, context: str | None = None) -> None:
        self._api = Api(context)

    def ready_session(self, name: str, namespace: str | None, timeout: float) -> Session:
        """Wait until the session's condition Ready is True; how long at most is given in seconds."""
        what, place = self._api.session(name, namespace)
        deadline = time.monotonic() + timeout
        while True:
            raw = self._api.get(what, place)
            if ready := ready_or_finished(raw):
                return ready
            if time.monotonic() > deadline:
                raise CommandError(f"{what} is not Ready after {timeout:.0f} s: {why_not(raw)}")
            time.sleep(POLL_SECONDS)

    def agent_greets(self, session: Session) -> bool:
        """Whether its VoiceAgent has a greeting to wait for; an own entry point may greet too, so it counts."""
        what = f"voiceagent {session.namespace}/{session.agent}"
        try:
            spec = self._api.get(what, path(AGENTS, session.namespace, session.agent))["spec"]
        except CommandError:
            return True
        return bool(spec.get("greeting") or spec.get("entrypoint"))

    def livekit_key(self) -> Key:
        """From LIVEKIT_API_KEY and LIVEKIT_API_SECRET, else from the one Secret that is labeled to hold them."""
        key, secret = os.environ.get("LIVEKIT_API_KEY"), os.environ.get("LIVEKIT_API_SECRET")
        if key and secret:
            return Key(key, secret)
        what = "LiveKit's key (or set LIVEKIT_API_KEY and LIVEKIT_API_SECRET)"
        found = self._api.items(what, path(SECRETS), labelSelector=LIVEKIT_CREDENTIALS)
        if len(found) != 1:
            raise CommandError(
                f"{len(found)} Secrets have the label {LIVEKIT_CREDENTIALS}, need one: "
                "set LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
            )
        data = found[0]["data"]
        return Key(*(base64.b64decode(data[n]).decode() for n in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")))


def ready_or_finished(raw: dict[str, Any]) -> Session | None:
    """The session once Ready, None while it may yet become so. Raises CommandError when it never will."""
    meta, status = raw["metadata"], raw.get("status") or {}
    states = {c["type"]: c["status"] for c in status.get("conditions", ())}
    where = f"voicesession {meta['namespace']}/{meta['name']}"
    if states.get("Finished") == "True":
        raise CommandError(f"{where} has finished: {status.get('endReason') or why_not(raw)}")
    if meta.get("deletionTimestamp"):
        raise CommandError(f"{where} is being deleted")
    if states.get("Ready") != "True":
        return None
    room = status["room"]
    identity = (status.get("agent") or {}).get("identity", "")
    agent = raw["spec"]["agentRef"]["name"]
    return Session(meta["namespace"], meta["name"], room["name"], room["url"], agent, identity)


def why_not(raw: dict[str, Any]) -> str:
    """The conditions that are not yet True, in the operator's own words."""
    conditions = (raw.get("status") or {}).get("conditions", ())
    lacking = [c for c in conditions if c["status"] != "True" and c["type"] != "Finished" and c.get("message")]
    if not lacking:
        return "the operator has not said anything about it yet"
    said = dict.fromkeys(f"{c['reason']}: {c['message']}" for c in lacking)
    return "; ".join(said)
