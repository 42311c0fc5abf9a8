"""Check results for the LiveKit settings on which the operator depends. Pure."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import yaml
from voicesession_common import JsonObject
from voicesession_common.api.timestamps import from_rfc3339

from voicesession_cli.doctor.results import CheckResult, failed, ok

CHECKSUM: Final = "checksum/config"
"""Annotation of LiveKit's pods; a test compares it with the chart's ConfigMap."""
WEBHOOK_PATH: Final = "/livekit/webhook"
WEBHOOK_PORT: Final = 8080
RESTART: Final = "run `helm upgrade` with your values again, then `kubectl rollout restart` of LiveKit"
REQUIRED_EVENTS: Final = (
    "room_started",
    "room_finished",
    "participant_joined",
    "participant_left",
    "participant_connection_aborted",
)
"""Webhook events that the operator handles; a test compares them with the operator."""
UNUSED_EVENTS: Final = ("track_published", "track_unpublished")
"""Frequent webhook events that delay the required ones."""


def livekit_config(text: str, service: str, namespace: str) -> list[CheckResult]:
    """Check the four settings of docs/operations/external-servers.md; `service` is the operator's webhook Service."""
    try:
        config = yaml.safe_load(text) or {}
        room, api, webhook = (config.get(part) or {} for part in ("room", "api", "webhook"))
        return [
            _auto_create(room.get("auto_create")),
            _participant_lists(api.get("enable_psrpc_for_get_list_participants")),
            _webhook_url(webhook.get("urls") or [], service, namespace),
            _webhook_events(webhook.get("filter_params") or {}),
        ]
    except (yaml.YAMLError, AttributeError, TypeError):
        return [failed("LiveKit configuration", "is not valid", RESTART)]


def running_config(config_map: JsonObject, pods: Iterable[JsonObject]) -> CheckResult:
    """Check that every server has loaded the current text, which may have been edited after the server's start."""
    check, meta = "LiveKit running configuration", config_map["metadata"]
    text = config_map["data"]["config.yaml"].rstrip("\n")
    checksum = hashlib.sha256(text.encode()).hexdigest()
    changes = [from_rfc3339(field.get("time")) or 0.0 for field in meta.get("managedFields") or ()]
    outdated = [pod["metadata"]["name"] for pod in pods if _is_outdated(pod, checksum, max(changes, default=0.0))]
    if outdated:
        restart = f"kubectl rollout restart deployment/{meta['name']} -n {meta['namespace']}, which cuts off all calls"
        return failed(check, f"{', '.join(outdated)} started before the latest change", restart)
    return ok(check, "matches its ConfigMap")


def points_to_webhook(url: str, service: str, namespace: str) -> bool:
    """Return whether a URL names the operator's webhook Service, its port and its path."""
    parts = urlsplit(url)
    name, _, rest = (parts.hostname or "").partition(".")
    hosts = ("", namespace, f"{namespace}.svc", f"{namespace}.svc.cluster.local")
    return name == service and rest in hosts and parts.port == WEBHOOK_PORT and parts.path == WEBHOOK_PATH


def _is_outdated(pod: JsonObject, checksum: str, changed_at: float) -> bool:
    """Return whether a server started before the change.

    The chart annotates a pod with the checksum of its configuration. A restart after a manual edit does not change
    the annotation, so the start time decides too.
    """
    annotation = (pod["metadata"].get("annotations") or {}).get(CHECKSUM)
    states = (pod.get("status") or {}).get("containerStatuses") or ()
    starts = [from_rfc3339((state.get("state", {}).get("running") or {}).get("startedAt")) for state in states]
    known = [at for at in starts if at is not None]
    return bool(known) and annotation is not None and annotation != checksum and max(known) < changed_at


def _auto_create(value: Any) -> CheckResult:
    check = "LiveKit room.auto_create"
    if value is False:
        return ok(check, "is off")
    problem = "is on: a token that outlives its session creates rooms without a session"
    return failed(check, problem, f"set room.auto_create: false; {RESTART}")


def _participant_lists(value: Any) -> CheckResult:
    check = "LiveKit participant lists"
    if value is True:
        return ok(check, "come from the room itself")
    setting = "set api.enable_psrpc_for_get_list_participants: true"
    return failed(check, "come from a store that lags behind the room", f"{setting}; {RESTART}")


def _webhook_url(urls: list[str], service: str, namespace: str) -> CheckResult:
    check = "LiveKit webhook URL"
    if any(points_to_webhook(url, service, namespace) for url in urls):
        return ok(check, f"points to {service}")
    expected = f"http://{service}.{namespace}.svc:{WEBHOOK_PORT}{WEBHOOK_PATH}"
    problem = f"{', '.join(urls) or 'none'} does not point to the operator"
    return failed(check, problem, f"set webhook.urls to {expected}; {RESTART}")


def _webhook_events(filters: JsonObject) -> CheckResult:
    """Check the event filter: LiveKit sends the included events or, if none are included, all except the excluded."""
    check, included = "LiveKit webhook events", filters.get("include_events") or ()
    sent = {event for event in (*REQUIRED_EVENTS, *UNUSED_EVENTS) if event in included}
    if not included:
        sent = {*REQUIRED_EVENTS, *UNUSED_EVENTS} - set(filters.get("exclude_events") or ())
    fix = f"set webhook.filter_params.include_events to [{', '.join(REQUIRED_EVENTS)}]; {RESTART}"
    if missing := [event for event in REQUIRED_EVENTS if event not in sent]:
        return failed(check, f"LiveKit never sends {', '.join(missing)}", fix)
    if unused := [event for event in UNUSED_EVENTS if event in sent]:
        return failed(check, f"{', '.join(unused)} delays the events that the operator handles", fix)
    return ok(check, "are those that the operator handles")
