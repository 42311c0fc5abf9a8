"""`forget`: the requests to the operator, the wait for its answers, and the refusals."""

import json

import pytest
from voicesession_cli.__main__ import main
from voicesession_cli.arguments import ForgetArguments
from voicesession_cli.commands import reset
from voicesession_cli.commands.reset import forget
from voicesession_cli.errors import CommandError, ObjectNotFoundError
from voicesession_cli.kube_client import AGENTS, SESSIONS, path
from voicesession_common import JsonObject
from voicesession_common.api.constants import FORGET_USER_ANNOTATION

from tests.support.fakes.cli_api import CREATED, FakeKubeApi, session

FINISHED = [{"type": "Finished", "status": "True"}]


def agent(name: str, **spec: object) -> JsonObject:
    return {"metadata": {"namespace": "calls", "name": name}, "spec": spec or {"memory": {"letta": {}}}}


def of_user(user: str, name: str = "hello", **status: object) -> JsonObject:
    raw = session(name, **status)
    return {**raw, "spec": {**raw["spec"], "user": user}}


class AnsweringOperator(FakeKubeApi):
    """Two VoiceAgents, `fake` and `other`; each request gets the answer of its VoiceAgent, if there is one."""

    def __init__(self, sessions: list[JsonObject] | None = None, **answers: JsonObject) -> None:
        agents = {name: agent(name) for name in ("fake", "other")}
        super().__init__({path(AGENTS, "calls", name): raw for name, raw in agents.items()})
        self.objects[path(AGENTS, "calls")] = {"items": [*agents.values(), agent("mute", displayName="Mute")]}
        self.objects[path(SESSIONS, "calls")] = {"items": sessions or []}
        self.answers = {path(AGENTS, "calls", name): answer for name, answer in answers.items()}

    def merge(self, label: str, path: str, patch: JsonObject) -> JsonObject:
        (annotation,) = patch["metadata"]["annotations"]
        found = self.get(label, path)
        if path in self.answers:
            request = annotation.removeprefix(FORGET_USER_ANNOTATION)
            answer = {"request": request, "completedAt": CREATED, **self.answers[path]}
            self.objects[path] = {**found, "status": {"forgotten": [{"request": "r0", "removed": 9}, answer]}}
        return super().merge(label, path, patch)


@pytest.fixture(autouse=True)
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reset, "sleep", lambda _: None)


def run(api: FakeKubeApi, monkeypatch: pytest.MonkeyPatch, agent_name: str | None = None, timeout: float = 60) -> int:
    api.patch_into("commands.reset", monkeypatch)
    arguments = ForgetArguments(
        context=None, json_output=True, user="alice", agent=agent_name, namespace=None, timeout=timeout
    )
    return forget(arguments)


def test_forget_asks_every_voice_agent_with_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api = AnsweringOperator(fake={"removed": 1}, other={"removed": 2})
    assert run(api, monkeypatch) == 0
    assert json.loads(capsys.readouterr().out) == {"user": "alice", "voiceAgents": ["fake", "other"], "removed": 3}
    assert [where for where, _ in api.merged] == [path(AGENTS, "calls", name) for name in ("fake", "other")]
    assert all(list(patch["metadata"]["annotations"].values()) == ["alice"] for _, patch in api.merged)


def test_forget_for_a_named_voice_agent_asks_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    api = AnsweringOperator(other={"removed": 0})
    assert run(api, monkeypatch, "other") == 0
    assert [where for where, _ in api.merged] == [path(AGENTS, "calls", "other")]


def test_forget_is_refused_while_a_session_of_the_user_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    api = AnsweringOperator([of_user("bob", "first"), of_user("alice", "second", phase="Active")])
    with pytest.raises(CommandError, match="voicesession calls/second of this user is live; end it first"):
        run(api, monkeypatch)
    assert api.merged == []


def test_finished_session_does_not_prevent_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    api = AnsweringOperator([of_user("alice", conditions=FINISHED)], fake={"removed": 1}, other={"removed": 0})
    assert run(api, monkeypatch) == 0


def test_problem_of_the_operator_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    api = AnsweringOperator(fake={"removed": 1}, other={"removed": 0, "problem": "this installation has no Letta"})
    with pytest.raises(CommandError, match="removed: 1, but voiceagent calls/other: this installation has no Letta"):
        run(api, monkeypatch)


def test_forget_without_answer_in_time_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="voiceagent calls/fake: no answer in time; the request stays"):
        run(AnsweringOperator(), monkeypatch, timeout=0)


def test_forget_for_a_missing_voice_agent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ObjectNotFoundError):
        run(AnsweringOperator(), monkeypatch, "absent")


def test_namespace_without_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="no voiceagent in calls has a memory"):
        run(FakeKubeApi({path(AGENTS, "calls"): {"items": []}}), monkeypatch)


@pytest.mark.parametrize("user", ["", "x" * 254])
def test_impossible_user_is_wrong_usage(user: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["forget", user])
    assert exited.value.code == 2
    assert "1 to 253 characters" in capsys.readouterr().err
