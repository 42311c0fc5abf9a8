"""`reset` and `end`: what is asked of the operator, and how long one waits for it."""

import json

import pytest
from voicesession_cli.arguments import End, Reset
from voicesession_cli.commands import reset as orders
from voicesession_cli.commands.reset import REQUESTED_AT, order
from voicesession_cli.errors import CommandError, ObjectNotFoundError
from voicesession_cli.kube_client import SESSIONS, path

from tests.support.fakes.cli_api import Json, StandIn, after, session

PLACE = path(SESSIONS, "calls", "hello")
OVER = [{"type": "Finished", "status": "True"}]


class Obeying(StandIn):
    """`states` are what the session is at one look after another once it was asked; the last one stays."""

    def __init__(self, *states: Json | CommandError) -> None:
        super().__init__({PLACE: states[0]})
        self.states = list(states)

    def get(self, what: str, place: str, **query: str) -> Json:
        if self.merged and len(self.states) > 1:
            self.states.pop(0)
        self.objects[place] = self.states[0]
        return super().get(what, place, **query)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders.time, "sleep", lambda _: None)


def give(kind: type[Reset | End], api: Obeying, monkeypatch: pytest.MonkeyPatch, *, wait: bool, timeout: float) -> int:
    api.instead_of("commands.reset", monkeypatch)
    return order(kind(context=None, json_output=True, session="hello", namespace=None, wait=wait, timeout=timeout))


def test_an_end_that_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    api = Obeying(session(phase="Active"))
    assert give(End, api, monkeypatch, wait=False, timeout=0) == 0
    assert api.merged == [(PLACE, {"spec": {"end": True}})]
    assert json.loads(capsys.readouterr().out) == {"session": "calls/hello"}


def test_a_reset_that_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    api = Obeying(session(phase="Active"))
    assert give(Reset, api, monkeypatch, wait=False, timeout=0) == 0
    told = json.loads(capsys.readouterr().out)
    ((place, patch),) = api.merged
    assert (place, patch) == (PLACE, {"metadata": {"annotations": {REQUESTED_AT: told["requestedAt"]}}})
    assert told["session"] == "calls/hello"


@pytest.mark.parametrize(("outcome", "code"), [("Complete", 0), ("Escalated", 1)])
def test_a_reset_that_is_waited_for(
    outcome: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    last = {"startedAt": after(1), "completedAt": after(1.5), "outcome": outcome}
    api = Obeying(session(), session(resets=1), session(resets=1, lastReset=last))
    assert give(Reset, api, monkeypatch, wait=True, timeout=60) == code
    assert json.loads(capsys.readouterr().out)["lastReset"]["outcome"] == outcome


@pytest.mark.parametrize(
    ("end", "reason"),
    [(session(conditions=OVER, endReason="Requested"), "Requested"), (ObjectNotFoundError("it is gone"), "Deleted")],
)
def test_an_end_that_is_waited_for(
    end: Json | CommandError, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert give(End, Obeying(session(), session(), end), monkeypatch, wait=True, timeout=60) == 0
    assert json.loads(capsys.readouterr().out)["endReason"] == reason


def test_what_is_not_done_in_time_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="voicesession calls/hello: not done after 0 s"):
        give(Reset, Obeying(session()), monkeypatch, wait=True, timeout=0)


def test_a_session_that_is_over_is_not_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Obeying(session(conditions=OVER, endReason="Idle"))
    with pytest.raises(CommandError, match="has finished: Idle"):
        give(Reset, api, monkeypatch, wait=False, timeout=0)
    assert api.merged == []
