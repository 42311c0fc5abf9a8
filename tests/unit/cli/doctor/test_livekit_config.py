"""What the doctor makes of LiveKit's configuration, setting by setting."""

import hashlib
from typing import Any

import pytest
import yaml
from voicesession_cli.doctor.livekit_config import TOLD, livekit_config, running_config
from voicesession_cli.doctor.verdicts import State
from voicesession_operator.web.webhook import EVENTS

from tests.support.fakes.cli_api import Json

SERVICE, NAMESPACE = "v-operator-webhook", "home"
URL = f"http://{SERVICE}.{NAMESPACE}.svc:8080/livekit/webhook"
LISTS = "enable_psrpc_for_get_list_participants"


def config(**changed: Any) -> str:
    """As the chart writes it, but for what is changed; None leaves a setting out."""
    given = {"auto_create": False, "lists": True, "urls": [URL], "filter_params": {"include_events": [*TOLD]}}
    found = {name: value for name, value in {**given, **changed}.items() if value is not None}
    return yaml.safe_dump(
        {
            "room": {"auto_create": found["auto_create"]} if "auto_create" in found else None,
            "api": {LISTS: found["lists"]} if "lists" in found else {},
            "webhook": {name: found[name] for name in ("urls", "filter_params") if name in found},
        }
    )


def failing(text: str) -> dict[str, str]:
    verdicts = livekit_config(text, SERVICE, NAMESPACE)
    assert all(bool(v.mend) == (v.state == State.FAILED) for v in verdicts)
    return {v.check: v.message for v in verdicts if v.state == State.FAILED}


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
        ({"filter_params": {"include_events": [*TOLD[1:]]}}, {SENT}),
        ({"filter_params": {"include_events": [*TOLD, "track_published"]}}, {SENT}),
        ({"filter_params": {"include_events": [*TOLD, "egress_started"]}}, set()),
        ({"filter_params": {"exclude_events": ["track_published", "track_unpublished"]}}, set()),
        ({"filter_params": {"exclude_events": ["track_published", "track_unpublished", "room_started"]}}, {SENT}),
    ],
)
def test_each_setting_is_judged(changed: dict[str, Any], expected: set[str]) -> None:
    assert set(failing(config(**changed))) == expected


def test_a_configuration_without_any_of_it_fails_four_times() -> None:
    assert set(failing("")) == {AUTO, LIST, HOOK, SENT}


def test_it_says_which_events_are_missing_or_too_many() -> None:
    few = {"include_events": [event for event in TOLD if not event.startswith("room")]}
    assert failing(config(filter_params=few))[SENT] == "room_started, room_finished is never sent"
    many = {"include_events": [*TOLD, "track_unpublished"]}
    assert failing(config(filter_params=many))[SENT].startswith("track_unpublished fills the queue")


@pytest.mark.parametrize("text", ["room: [", "- a list", "room: words", "webhook: {filter_params: words}"])
def test_what_is_no_configuration_is_said(text: str) -> None:
    assert failing(text) == {"LiveKit configuration": "makes no sense"}


DAY = "2026-01-01T10:0{}:00Z"
CHANGED, BEFORE, AFTER = (DAY.format(minute) for minute in (5, 4, 6))


def server(began_with: str | None, started: str | None) -> Json:
    annotations = {} if began_with is None else {"checksum/config": hashlib.sha256(began_with.encode()).hexdigest()}
    state = {} if started is None else {"running": {"startedAt": started}}
    return {
        "metadata": {"name": "v-livekit-1", "annotations": annotations},
        "status": {"containerStatuses": [{"state": state}]},
    }


@pytest.mark.parametrize(
    ("pod", "state"),
    [
        (server("old", BEFORE), State.FAILED),
        (server("new", BEFORE), State.OK),
        (server("old", AFTER), State.OK),
        (server("old", None), State.OK),
        (server(None, BEFORE), State.OK),
    ],
)
def test_a_server_that_began_before_an_edit_by_hand_is_named(pod: Json, state: State) -> None:
    fields = [{"manager": "helm", "time": DAY.format(1)}, {"manager": "kubectl-edit", "time": CHANGED}]
    meta = {"namespace": NAMESPACE, "name": "v-livekit", "managedFields": fields}
    verdict = running_config({"metadata": meta, "data": {"config.yaml": "new\n"}}, [pod])
    assert verdict.state == state
    assert ("v-livekit-1" in verdict.message) is (state == State.FAILED)


def test_it_asks_for_the_events_that_the_operator_acts_on() -> None:
    assert set(TOLD) == EVENTS
