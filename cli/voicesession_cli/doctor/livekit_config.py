"""Verdicts on LiveKit's own configuration, as far as the operator depends on it. Pure."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from voicesession_cli.doctor.verdicts import Verdict, failed, ok
from voicesession_cli.output import unix

Json = dict[str, Any]
CHECKSUM: Final = "checksum/config"
"""Annotation of LiveKit's pods; a test compares it with the chart's ConfigMap."""
HOOK: Final = "/livekit/webhook"
PORT: Final = 8080
RESTART: Final = "run `helm upgrade` with your values again, then `kubectl rollout restart` of LiveKit"
TOLD: Final = (
    "room_started",
    "room_finished",
    "participant_joined",
    "participant_left",
    "participant_connection_aborted",
)
"""The events that the operator acts on; a test compares them with the operator."""
NOISE: Final = ("track_published", "track_unpublished")


def livekit_config(text: str, service: str, namespace: str) -> list[Verdict]:
    """The four settings of docs/operations/external-servers.md; `service` is the operator's webhook Service."""
    try:
        config = yaml.safe_load(text) or {}
        room, api, webhook = (config.get(part) or {} for part in ("room", "api", "webhook"))
        return [
            _auto_create(room.get("auto_create")),
            _lists(api.get("enable_psrpc_for_get_list_participants")),
            _urls(webhook.get("urls") or [], service, namespace),
            _events(webhook.get("filter_params") or {}),
        ]
    except (yaml.YAMLError, AttributeError, TypeError):
        return [failed("LiveKit configuration", "makes no sense", RESTART)]


def running_config(config_map: Json, pods: Iterable[Json]) -> Verdict:
    """Whether every server has read the text as it is now: not one that began before somebody edited it by hand."""
    check, meta = "LiveKit running configuration", config_map["metadata"]
    text = config_map["data"]["config.yaml"].rstrip("\n")
    wanted = hashlib.sha256(text.encode()).hexdigest()
    changes = [unix(field.get("time")) or 0.0 for field in meta.get("managedFields") or ()]
    old = [pod["metadata"]["name"] for pod in pods if _is_old(pod, wanted, max(changes, default=0.0))]
    if old:
        restart = f"kubectl rollout restart deployment/{meta['name']} -n {meta['namespace']}, which cuts off all calls"
        return failed(check, f"{', '.join(old)} began before the latest change", restart)
    return ok(check, "is what its ConfigMap says")


def leads_to(url: str, service: str, namespace: str) -> bool:
    """Whether a URL names the operator's webhook Service, its port and its path."""
    parts = urlsplit(url)
    name, _, rest = (parts.hostname or "").partition(".")
    hosts = ("", namespace, f"{namespace}.svc", f"{namespace}.svc.cluster.local")
    return name == service and rest in hosts and parts.port == PORT and parts.path == HOOK


def _is_old(pod: Json, wanted: str, changed_at: float) -> bool:
    """The chart marks a pod with what it begins with; who edits by hand and restarts does not change the mark."""
    began_with = (pod["metadata"].get("annotations") or {}).get(CHECKSUM)
    states = (pod.get("status") or {}).get("containerStatuses") or ()
    began = [unix((state.get("state", {}).get("running") or {}).get("startedAt")) for state in states]
    known = [at for at in began if at is not None]
    return bool(known) and began_with is not None and began_with != wanted and max(known) < changed_at


def _auto_create(value: Any) -> Verdict:
    check = "LiveKit room.auto_create"
    if value is False:
        return ok(check, "is off")
    wrong = "is on: a token that outlives its session makes rooms of nobody"
    return failed(check, wrong, f"set room.auto_create: false; {RESTART}")


def _lists(value: Any) -> Verdict:
    check = "LiveKit participant lists"
    if value is True:
        return ok(check, "come from the room itself")
    wanted = "set api.enable_psrpc_for_get_list_participants: true"
    return failed(check, "come from a store that lags behind the room", f"{wanted}; {RESTART}")


def _urls(urls: list[str], service: str, namespace: str) -> Verdict:
    check = "LiveKit webhook URL"
    if any(leads_to(url, service, namespace) for url in urls):
        return ok(check, f"leads to {service}")
    wanted = f"http://{service}.{namespace}.svc:{PORT}{HOOK}"
    wrong = f"{', '.join(urls) or 'none'} does not lead to the operator"
    return failed(check, wrong, f"set webhook.urls to {wanted}; {RESTART}")


def _events(filters: Json) -> Verdict:
    """LiveKit sends what is included, or without any of that all but what is excluded."""
    check, included = "LiveKit webhook events", filters.get("include_events") or ()
    sent = {event for event in (*TOLD, *NOISE) if event in included}
    if not included:
        sent = {*TOLD, *NOISE} - set(filters.get("exclude_events") or ())
    mend = f"set webhook.filter_params.include_events to [{', '.join(TOLD)}]; {RESTART}"
    if missing := _in_order(TOLD, set(TOLD) - sent):
        return failed(check, f"{missing} is never sent", mend)
    if noise := _in_order(NOISE, sent):
        return failed(check, f"{noise} fills the queue before the events that matter", mend)
    return ok(check, "only what the operator acts on is sent")


def _in_order(events: Iterable[str], wanted: set[str]) -> str:
    return ", ".join(event for event in events if event in wanted)
