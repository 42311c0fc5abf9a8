"""`reset` and `end`: the change of the session, and the wait for its effect."""

import json

import pytest
from voicesession_cli.arguments import EndArguments, ResetArguments
from voicesession_cli.commands import reset
from voicesession_cli.commands.reset import is_reset_complete, reset_or_end
from voicesession_cli.errors import CommandError, ObjectNotFoundError
from voicesession_cli.kube_client import SESSIONS, path
from voicesession_common import JsonObject
from voicesession_common.api.constants import RESET_REQUESTED_AT_ANNOTATION

from tests.support.fakes.cli_api import CREATED, FakeKubeApi, after, session

SESSION = path(SESSIONS, "calls", "hello")
FINISHED = [{"type": "Finished", "status": "True"}]


class SessionSequence(FakeKubeApi):
    """Returns the next of `states` for each read after the change; the last one stays."""

    def __init__(self, *states: JsonObject | CommandError) -> None:
        super().__init__({SESSION: states[0]})
        self.states = list(states)

    def get(self, label: str, path: str, **query: str) -> JsonObject:
        if self.merged and len(self.states) > 1:
            self.states.pop(0)
        self.objects[path] = self.states[0]
        return super().get(label, path, **query)


@pytest.fixture(autouse=True)
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reset, "sleep", lambda _: None)


def run(
    arguments_type: type[ResetArguments | EndArguments],
    api: SessionSequence,
    monkeypatch: pytest.MonkeyPatch,
    *,
    wait: bool,
    timeout: float,
) -> int:
    api.patch_into("commands.reset", monkeypatch)
    return reset_or_end(
        arguments_type(context=None, json_output=True, session="hello", namespace=None, wait=wait, timeout=timeout)
    )


def test_end_without_wait_sets_spec_end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    api = SessionSequence(session(phase="Active"))
    assert run(EndArguments, api, monkeypatch, wait=False, timeout=0) == 0
    assert api.merged == [(SESSION, {"spec": {"end": True}})]
    assert json.loads(capsys.readouterr().out) == {"session": "calls/hello"}


def test_reset_without_wait_sets_annotation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api = SessionSequence(session(phase="Active"))
    assert run(ResetArguments, api, monkeypatch, wait=False, timeout=0) == 0
    printed = json.loads(capsys.readouterr().out)
    annotations = {RESET_REQUESTED_AT_ANNOTATION: printed["requestedAt"]}
    assert api.merged == [(SESSION, {"metadata": {"annotations": annotations}})]
    assert printed["session"] == "calls/hello"


@pytest.mark.parametrize(("outcome", "code"), [("Complete", 0), ("Escalated", 1)])
def test_reset_with_wait_returns_code_of_outcome(
    outcome: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    last = {"startedAt": after(1), "completedAt": after(1.5), "outcome": outcome}
    api = SessionSequence(session(), session(resets=1), session(resets=1, lastReset=last))
    assert run(ResetArguments, api, monkeypatch, wait=True, timeout=60) == code
    assert json.loads(capsys.readouterr().out)["lastReset"]["outcome"] == outcome


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (session(conditions=FINISHED, endReason="Requested"), "Requested"),
        (ObjectNotFoundError("it is gone"), "Deleted"),
    ],
)
def test_end_with_wait_prints_end_reason(
    end: JsonObject | CommandError, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(EndArguments, SessionSequence(session(), session(), end), monkeypatch, wait=True, timeout=60) == 0
    assert json.loads(capsys.readouterr().out)["endReason"] == reason


def test_reset_beyond_timeout_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="voicesession calls/hello: not done after 0 s"):
        run(ResetArguments, SessionSequence(session()), monkeypatch, wait=True, timeout=0)


def test_reset_of_finished_session_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    api = SessionSequence(session(conditions=FINISHED, endReason="Idle"))
    with pytest.raises(CommandError, match="has finished: Idle"):
        run(ResetArguments, api, monkeypatch, wait=False, timeout=0)
    assert api.merged == []


def test_reset_is_complete_only_for_own_request() -> None:
    done = {"request": "r", "completedAt": CREATED}
    assert is_reset_complete(session(resets=1, lastReset=done), 0, "r", "hello")
    assert not is_reset_complete(session(resets=1, lastReset=done | {"request": "older"}), 0, "r", "hello")
    assert not is_reset_complete(session(resets=1, lastReset={"request": "r"}), 0, "r", "hello")
    with pytest.raises(CommandError, match="finished meanwhile: Idle"):
        is_reset_complete(session(conditions=FINISHED, endReason="Idle"), 0, "r", "hello")
