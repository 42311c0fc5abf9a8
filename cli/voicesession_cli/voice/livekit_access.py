"""Access of `talk` to LiveKit: a session that is Ready, the API key, and a token for a human."""

import base64
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from livekit import api
from voicesession_common import JsonObject
from voicesession_common.api.constants import HUMAN_ROLE, ROLE_ATTRIBUTE

from voicesession_cli.errors import CommandError
from voicesession_cli.kube_client import AGENTS, SECRETS, KubeApi, path


def human_token(key: str, secret: str, room: str, identity: str, name: str, ttl_seconds: float = 3600) -> str:
    """Return a LiveKit JWT that lets one human join and speak in `room` only.

    Its role attribute says human and takes precedence over LiveKit's participant kind.
    """
    return (
        api.AccessToken(key, secret)
        .with_identity(identity)
        .with_name(name)
        .with_kind("standard")
        .with_attributes({ROLE_ATTRIBUTE: HUMAN_ROLE})
        .with_ttl(timedelta(seconds=ttl_seconds))
        .with_grants(api.VideoGrants(room_join=True, room=room))
        .to_jwt()
    )


LIVEKIT_CREDENTIALS: Final = "voicesession.dev/livekit-credentials=true"
POLL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class ReadySession:
    """A VoiceSession that is Ready."""

    namespace: str
    name: str
    room: str
    url: str
    agent: str
    agent_identity: str


@dataclass(frozen=True)
class LiveKitKey:
    """LiveKit's API key and its secret."""

    key: str
    secret: str


class LiveKitAccess:
    """Reads of `talk` from the cluster; every method blocks and raises CommandError."""

    def __init__(self, context: str | None = None) -> None:
        self._api = KubeApi(context)

    def ready_session(self, name: str, namespace: str | None, timeout: float) -> ReadySession:
        """Wait at most `timeout` seconds until the session is Ready, and return it."""
        label, session_path = self._api.session(name, namespace)
        deadline = time.monotonic() + timeout
        while True:
            raw = self._api.get(label, session_path)
            if session := ready_session_or_none(raw):
                return session
            if time.monotonic() > deadline:
                raise CommandError(f"{label} is not Ready after {timeout:.0f} s: {not_ready_message(raw)}")
            time.sleep(POLL_SECONDS)

    def agent_greets(self, session: ReadySession) -> bool:
        """Return whether a greeting may come: the VoiceAgent has one, or an entry point of its own."""
        label = f"voiceagent {session.namespace}/{session.agent}"
        try:
            spec = self._api.get(label, path(AGENTS, session.namespace, session.agent))["spec"]
        except CommandError:
            return True
        return bool(spec.get("greeting") or spec.get("entrypoint"))

    def livekit_key(self) -> LiveKitKey:
        """Return LIVEKIT_API_KEY and LIVEKIT_API_SECRET, from the environment or from the one labeled Secret."""
        key, secret = os.environ.get("LIVEKIT_API_KEY"), os.environ.get("LIVEKIT_API_SECRET")
        if key and secret:
            return LiveKitKey(key, secret)
        label = "LiveKit's key (or set LIVEKIT_API_KEY and LIVEKIT_API_SECRET)"
        secrets = self._api.items(label, path(SECRETS), labelSelector=LIVEKIT_CREDENTIALS)
        if len(secrets) != 1:
            raise CommandError(
                f"{len(secrets)} Secrets have the label {LIVEKIT_CREDENTIALS}, need one: "
                "set LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
            )
        data = secrets[0]["data"]
        return LiveKitKey(*(base64.b64decode(data[n]).decode() for n in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")))


def ready_session_or_none(raw: JsonObject) -> ReadySession | None:
    """Return the session, or None while it can still become Ready. Raises CommandError if it never will."""
    meta, status = raw["metadata"], raw.get("status") or {}
    states = {c["type"]: c["status"] for c in status.get("conditions", ())}
    label = f"voicesession {meta['namespace']}/{meta['name']}"
    if states.get("Finished") == "True":
        raise CommandError(f"{label} has finished: {status.get('endReason') or not_ready_message(raw)}")
    if meta.get("deletionTimestamp"):
        raise CommandError(f"{label} is being deleted")
    if states.get("Ready") != "True":
        return None
    room = status["room"]
    identity = (status.get("agent") or {}).get("identity", "")
    agent = raw["spec"]["agentRef"]["name"]
    return ReadySession(meta["namespace"], meta["name"], room["name"], room["url"], agent, identity)


def not_ready_message(raw: JsonObject) -> str:
    """Return reasons and messages of the conditions that are not True."""
    conditions = (raw.get("status") or {}).get("conditions", ())
    lacking = [c for c in conditions if c["status"] != "True" and c["type"] != "Finished" and c.get("message")]
    if not lacking:
        return "the operator has not reported a condition yet"
    return "; ".join(dict.fromkeys(f"{c['reason']}: {c['message']}" for c in lacking))
