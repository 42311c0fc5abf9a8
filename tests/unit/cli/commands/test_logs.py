"""`kubectl voice logs`: nothing is lost or told twice, and what cannot be read is said."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from voicesession_cli.arguments import Logs
from voicesession_cli.commands import logs as command
from voicesession_cli.commands.logs import logs
from voicesession_cli.errors import BadRequestError, CommandError, ForbiddenError, ObjectNotFoundError
from voicesession_cli.kube_client import PODS, SESSIONS, path
from voicesession_cli.output import unix

from tests.support.fakes.cli_api import StandIn, after, pod, session

SESSION = path(SESSIONS, "calls", "hello")
AGENT = path(PODS, "calls", "hello-0", "log")
OPERATOR = path(PODS, "home", "operator-0", "log")


class Node(StandIn):
    """Logs by path and whether they are those of the run before; an answer has what is not older than was asked for."""

    def __init__(self, **status: Any) -> None:
        super().__init__({SESSION: session(**status), path(PODS, "calls"): {"items": [pod("hello-0")]}})
        self.objects[path(PODS)] = {"items": [of_operator("operator-0", "voicesession_operator")]}
        self.logs: dict[tuple[str, str], list[str] | CommandError] = {}

    def write(self, place: str, seconds: float, text: str, previous: str = "false") -> None:
        lines = self.logs.setdefault((place, previous), [])
        assert isinstance(lines, list)
        lines.append(f"{after(seconds)} {text}")

    def lines(self, what: str, place: str, **query: str) -> Iterator[str]:
        self.asked.append((place, query))
        found = self.logs.get((place, query["previous"]), ObjectNotFoundError(f"{what} not found"))
        if isinstance(found, CommandError):
            raise found
        since = unix(query.get("sinceTime")) or 0.0
        yield from (line for line in found if (unix(line.split()[0]) or 0.0) >= since)

    def restart(self) -> None:
        states = [{"name": "mesh", "restartCount": 0}, {"name": "agent", "restartCount": 1}]
        self.objects[path(PODS, "calls")] = {"items": [pod("hello-0", containerStatuses=states)]}


def of_operator(name: str, program: str) -> dict[str, Any]:
    return pod(name, "home") | {"spec": {"containers": [{"name": "operator", "command": ["python", "-m", program]}]}}


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node(phase="Active")
    made.instead_of("commands.logs", monkeypatch)
    return made


def rounds(monkeypatch: pytest.MonkeyPatch, *happenings: Callable[[], None]) -> None:
    """One between each reading and the next; after the last one the session is gone."""
    left = list(happenings)

    def pause(_: float) -> None:
        if left:
            left.pop(0)()
            return
        raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", pause)


def ask(*, follow: bool = False, json_output: bool = True) -> int:
    given = Logs(
        context=None,
        json_output=json_output,
        session="hello",
        namespace=None,
        follow=follow,
        operator_namespace=None,
    )
    try:
        return logs(given)
    except KeyboardInterrupt:
        return 130


def told(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line)["line"] for line in capsys.readouterr().out.splitlines()]


def test_containers_are_asked_for_by_name_since_a_pod_may_have_others(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    node.write(AGENT, 1, "joined")
    node.write(OPERATOR, 2, '{"key": "calls/hello"}')
    assert ask() == 0
    assert told(capsys) == ["joined", {"key": "calls/hello"}]
    asked = {place: query["container"] for place, query in node.asked if "container" in query}
    assert asked == {AGENT: "agent", OPERATOR: "operator"}


def test_operators_of_other_projects_are_left_alone(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.write(path(PODS, "home", "strange-0", "log"), 1, '{"key": "calls/hello"}')
    node.objects[path(PODS)]["items"].append(of_operator("strange-0", "strange_operator"))
    node.write(AGENT, 2, "joined")
    assert ask() == 0
    assert told(capsys) == ["joined"]


def test_who_may_not_read_a_log_is_told_so(node: Node) -> None:
    node.logs[AGENT, "false"] = ForbiddenError("not allowed to read the log of hello-0")
    with pytest.raises(CommandError, match="not allowed to read the log of hello-0"):
        ask()


@pytest.mark.parametrize("error", [ObjectNotFoundError("gone"), BadRequestError("is waiting to start")])
def test_a_pod_without_a_log_has_nothing_to_tell(
    node: Node, error: CommandError, capsys: pytest.CaptureFixture[str]
) -> None:
    node.logs[AGENT, "false"] = error
    assert ask() == 0
    assert capsys.readouterr() == ("", "")


def test_a_node_that_does_not_answer_hides_no_other_and_is_said(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.logs[AGENT, "false"] = CommandError("cannot read the log of hello-0: 500")
    node.write(OPERATOR, 2, '{"key": "calls/hello"}')
    assert ask() == 1
    printed = capsys.readouterr()
    assert (len(printed.out.splitlines()), printed.err) == (1, "cannot read the log of hello-0: 500\n")


def test_what_ran_before_a_restart_comes_first(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.restart()
    node.write(AGENT, 1, "first", previous="true")
    node.write(AGENT, 2, "second")
    assert ask() == 0
    assert told(capsys) == ["first", "second"]


def test_followed_logs_are_whole_and_told_once(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def late() -> None:
        node.write(AGENT, 99.5, "late")
        node.write(AGENT, 100.2, "alike")

    def twice() -> None:
        for _ in range(2):
            node.write(AGENT, 100.2, "alike")

    node.write(AGENT, 1, "old")
    node.write(AGENT, 100, "last")
    rounds(monkeypatch, late, twice, lambda: node.write(AGENT, 200, "much later"), lambda: None)
    assert ask(follow=True) == 130
    assert told(capsys) == ["old", "last", "late", "alike", "alike", "alike", "much later"]
    since = [query.get("sinceTime") for place, query in node.asked if place == AGENT]
    assert since == [None, after(90), after(90), after(90), after(190)]


def test_a_round_that_fails_neither_loses_nor_repeats(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node.write(AGENT, 1, "before")
    kept = node.logs[AGENT, "false"]

    def fail() -> None:
        node.logs[AGENT, "false"] = CommandError("broken off")

    def heal() -> None:
        node.logs[AGENT, "false"] = kept
        node.write(AGENT, 2, "meanwhile")

    rounds(monkeypatch, fail, lambda: None, heal)
    assert ask(follow=True) == 130
    printed = capsys.readouterr()
    assert [json.loads(line)["line"] for line in printed.out.splitlines()] == ["before", "meanwhile"]
    assert printed.err == "broken off\n"


def test_a_line_that_is_about_the_session_only_now_is_told_yet(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node.write(OPERATOR, 1, '{"pod": "hello-1", "message": "made"}')
    both = {"items": [pod("hello-0"), pod("hello-1")]}
    rounds(monkeypatch, lambda: node.objects.update({path(PODS, "calls"): both}))
    assert ask(follow=True) == 130
    assert told(capsys) == [{"pod": "hello-1", "message": "made"}]


@pytest.mark.parametrize("end", [{SESSION: session(phase="Finished")}, {SESSION: ObjectNotFoundError("gone")}])
def test_following_ends_with_the_session(
    node: Node, end: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node.write(AGENT, 1, "joined")
    rounds(monkeypatch, lambda: node.objects.update(end))
    assert ask(follow=True) == 0
    assert told(capsys) == ["joined"]


def test_for_people_a_line_has_time_source_and_words(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.write(AGENT, 1, '{"level": "INFO", "message": "joined", "room": "vs-a"}')
    assert ask(json_output=False) == 0
    assert capsys.readouterr().out == "10:00:01.000 agent    INFO    joined room=vs-a\n"
