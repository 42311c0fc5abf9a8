"""Checks of LiveKit's configuration, setting by setting."""

import hashlib
from typing import Any

import pytest
import yaml
from voicesession_cli.doctor.livekit_config import REQUIRED_EVENTS, livekit_config, running_config
from voicesession_cli.doctor.results import CheckState
from voicesession_common import JsonObject
from voicesession_operator.web.webhook import EVENTS

SERVICE, NAMESPACE = "v-operator-webhook", "home"
URL = f"http://{SERVICE}.{NAMESPACE}.svc:8080/livekit/webhook"
LISTS = "enable_psrpc_for_get_list_participants"


def config(**changed: Any) -> str:
    """Return the chart's configuration with changes; None removes a setting."""
    given = {
        "auto_create": False,
        "lists": True,
        "urls": [URL],
        "filter_params": {"include_events": [*REQUIRED_EVENTS]},
    }
    found = {name: value for name, value in {**given, **changed}.items() if value is not None}
    return yaml.safe_dump(
        {
            "room": {"auto_create": found["auto_create"]} if "auto_create" in found else None,
            "api": {LISTS: found["lists"]} if "lists" in found else {},
            "webhook": {name: found[name] for name in ("urls", "filter_params") if name in found},
        }
    )


def failing(text: str) -> dict[str, str]:
    found = livekit_config(text, SERVICE, NAMESPACE)
    assert all(bool(result.fix) == (result.state == CheckState.FAILED) for result in found)
    return {result.check: result.message for result in found if result.state == CheckState.FAILED}


AUTO, LIST, HOOK, SENT = (
    "LiveKit room.auto_create",
    "LiveKit participant lists",
    "LiveKit webhook URL",
    "LiveKit webhook events",
)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, set()),
        ({"auto_create": True}, {AUTO}),
        ({"auto_create": None}, {AUTO}),
        ({"lists": False}, {LIST}),
        ({"lists": None}, {LIST}),
        ({"urls": []}, {HOOK}),
        ({"urls": [URL.replace("operator", "nobody")]}, {HOOK}),
        ({"urls": [URL.replace("8080", "80")]}, {HOOK}),
        ({"urls": ["http://elsewhere/", URL.replace("svc", "svc.cluster.local")]}, set()),
        ({"filter_params": None}, {SENT}),
        ({"filter_params": {"include_events": [*REQUIRED_EVENTS[1:]]}}, {SENT}),
        ({"filter_params": {"include_events": [*REQUIRED_EVENTS, "track_published"]}}, {SENT}),
        ({"filter_params": {"include_events": [*REQUIRED_EVENTS, "egress_started"]}}, set()),
        ({"filter_params": {"exclude_events": ["track_published", "track_unpublished"]}}, set()),
        ({"filter_params": {"exclude_events": ["track_published", "track_unpublished", "room_started"]}}, {SENT}),
    ],
)
def test_each_setting_is_checked(changed: dict[str, Any], expected: set[str]) -> None:
    assert set(failing(config(**changed))) == expected


def test_empty_configuration_fails_four_checks() -> None:
    assert set(failing("")) == {AUTO, LIST, HOOK, SENT}


def test_missing_and_unused_events_are_named() -> None:
    few = {"include_events": [event for event in REQUIRED_EVENTS if not event.startswith("room")]}
    assert failing(config(filter_params=few))[SENT] == "LiveKit never sends room_started, room_finished"
    many = {"include_events": [*REQUIRED_EVENTS, "track_unpublished"]}
    assert failing(config(filter_params=many))[SENT].startswith("track_unpublished delays the events")


@pytest.mark.parametrize("text", ["room: [", "- a list", "room: words", "webhook: {filter_params: words}"])
def test_malformed_configuration_fails(text: str) -> None:
    assert failing(text) == {"LiveKit configuration": "is not valid"}


DAY = "2026-01-01T10:0{}:00Z"
CHANGED, BEFORE, AFTER = (DAY.format(minute) for minute in (5, 4, 6))


def server(annotated: str | None, started: str | None) -> JsonObject:
    annotations = {} if annotated is None else {"checksum/config": hashlib.sha256(annotated.encode()).hexdigest()}
    state = {} if started is None else {"running": {"startedAt": started}}
    return {
        "metadata": {"name": "v-livekit-1", "annotations": annotations},
        "status": {"containerStatuses": [{"state": state}]},
    }


@pytest.mark.parametrize(
    ("pod", "state"),
    [
        (server("old", BEFORE), CheckState.FAILED),
        (server("new", BEFORE), CheckState.OK),
        (server("old", AFTER), CheckState.OK),
        (server("old", None), CheckState.OK),
        (server(None, BEFORE), CheckState.OK),
    ],
)
def test_server_started_before_manual_edit_is_named(pod: JsonObject, state: CheckState) -> None:
    fields = [{"manager": "helm", "time": DAY.format(1)}, {"manager": "kubectl-edit", "time": CHANGED}]
    meta = {"namespace": NAMESPACE, "name": "v-livekit", "managedFields": fields}
    result = running_config({"metadata": meta, "data": {"config.yaml": "new\n"}}, [pod])
    assert result.state == state
    assert ("v-livekit-1" in result.message) is (state == CheckState.FAILED)


def test_required_events_match_operator() -> None:
    assert set(REQUIRED_EVENTS) == EVENTS
