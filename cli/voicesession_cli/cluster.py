"""What the command needs of the cluster: one session, once it is Ready, and LiveKit's key."""

import base64
import os
import time
from dataclasses import dataclass
from typing import Any, Final

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from voicesession_cli.errors import USAGE, CommandError

GROUP: Final = ("voicesession.dev", "v1alpha1")
LIVEKIT_CREDENTIALS: Final = "voicesession.dev/livekit-credentials=true"
POLL_SECONDS: Final = 0.5
REQUEST_SECONDS: Final = 10


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
    """Reads through the kubeconfig of the user; every method blocks and raises CommandError with one clear line."""

    def __init__(self, context: str | None = None) -> None:
        try:
            config.load_kube_config(context=context)  # type: ignore[no-untyped-call]
            contexts, current = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            raise CommandError(f"no usable kubeconfig: {error}", USAGE) from error
        chosen = next((c for c in contexts if c["name"] == context), current)
        self._namespace = chosen["context"].get("namespace", "default")
        self._objects = client.CustomObjectsApi()
        self._core = client.CoreV1Api()

    def ready_session(self, name: str, namespace: str | None, timeout: float) -> Session:
        """Wait until the session's condition Ready is True; how long at most is given in seconds."""
        where = namespace or self._namespace
        deadline = time.monotonic() + timeout
        while True:
            raw = self._read("voicesessions", where, name)
            if ready := ready_or_finished(raw):
                return ready
            if time.monotonic() > deadline:
                raise CommandError(f"voicesession {where}/{name} is not Ready after {timeout:.0f} s: {why_not(raw)}")
            time.sleep(POLL_SECONDS)

    def agent_greets(self, session: Session) -> bool:
        """Whether its VoiceAgent has a greeting to wait for; an own entry point may greet too, so it counts."""
        try:
            spec = self._read("voiceagents", session.namespace, session.agent)["spec"]
        except CommandError:
            return True
        return bool(spec.get("greeting") or spec.get("entrypoint"))

    def livekit_key(self) -> Key:
        """From LIVEKIT_API_KEY and LIVEKIT_API_SECRET, else from the one Secret that is labeled to hold them."""
        key, secret = os.environ.get("LIVEKIT_API_KEY"), os.environ.get("LIVEKIT_API_SECRET")
        if key and secret:
            return Key(key, secret)
        found = self._call(
            "LiveKit's key (or set LIVEKIT_API_KEY and LIVEKIT_API_SECRET)",
            self._core.list_secret_for_all_namespaces,
            label_selector=LIVEKIT_CREDENTIALS,
        ).items
        if len(found) != 1:
            raise CommandError(
                f"{len(found)} Secrets have the label {LIVEKIT_CREDENTIALS}, need one: "
                "set LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
            )
        data = found[0].data
        return Key(*(base64.b64decode(data[n]).decode() for n in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")))

    def _read(self, plural: str, namespace: str, name: str) -> dict[str, Any]:
        what = f"{plural.removesuffix('s')} {namespace}/{name}"
        found: dict[str, Any] = self._call(
            what, self._objects.get_namespaced_custom_object, *GROUP, namespace, plural, name
        )
        return found

    def _call(self, what: str, method: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs, _request_timeout=REQUEST_SECONDS)
        except ApiException as error:
            raise CommandError(_explain(what, error)) from error
        except HTTPError as error:
            host = client.Configuration.get_default_copy().host
            raise CommandError(f"cannot reach the Kubernetes API server at {host}") from error


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


def _explain(what: str, error: ApiException) -> str:
    if error.status == 404:  # noqa: PLR2004
        return f"{what} not found"
    if error.status in (401, 403):
        return f"not allowed to read {what}"
    return f"cannot read {what}: {error.status} {error.reason}"
