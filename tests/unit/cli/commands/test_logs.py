"""`logs`: every line appears exactly once and in order, and read errors are reported."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from voicesession_cli.arguments import LogsArguments
from voicesession_cli.commands import logs as command
from voicesession_cli.commands.logs import logs, merge, parse_entries
from voicesession_cli.errors import BadRequestError, CommandError, ForbiddenError, ObjectNotFoundError
from voicesession_cli.kube_client import PODS, SESSIONS, path
from voicesession_common import JsonObject
from voicesession_common.api.timestamps import from_rfc3339

from tests.support.fakes.cli_api import FakeKubeApi, after, pod, session

SESSION = path(SESSIONS, "calls", "hello")
AGENT = path(PODS, "calls", "hello-0", "log")
OPERATOR = path(PODS, "home", "operator-0", "log")
INTERRUPTED = 130


class FakeLogs(FakeKubeApi):
    """Logs by path and `previous`; a response holds the lines since the requested time."""

    def __init__(self, **status: Any) -> None:
        super().__init__({SESSION: session(**status), path(PODS, "calls"): {"items": [pod("hello-0")]}})
        self.objects[path(PODS)] = {"items": [operator_pod("operator-0", "voicesession_operator")]}
        self.logs: dict[tuple[str, str], list[str] | CommandError] = {}

    def write(self, log: str, seconds: float, text: str, previous: str = "false") -> None:
        lines = self.logs.setdefault((log, previous), [])
        assert isinstance(lines, list)
        lines.append(f"{after(seconds)} {text}")

    def lines(self, label: str, path: str, **query: str) -> Iterator[str]:
        self.requests.append((path, query))
        found = self.logs.get((path, query["previous"]), ObjectNotFoundError(f"{label} not found"))
        if isinstance(found, CommandError):
            raise found
        since = from_rfc3339(query.get("sinceTime")) or 0.0
        yield from (line for line in found if (from_rfc3339(line.split()[0]) or 0.0) >= since)

    def restart_agent(self) -> None:
        states = [{"name": "mesh", "restartCount": 0}, {"name": "agent", "restartCount": 1}]
        self.objects[path(PODS, "calls")] = {"items": [pod("hello-0", containerStatuses=states)]}


def operator_pod(name: str, program: str) -> JsonObject:
    return pod(name, "home") | {"spec": {"containers": [{"name": "operator", "command": ["python", "-m", program]}]}}


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> FakeLogs:
    fake = FakeLogs(phase="Active")
    fake.patch_into("commands.logs", monkeypatch)
    return fake


def run_between_rounds(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], None]) -> None:
    """Run one step between each two rounds; interrupt the command after the last one."""
    left = list(steps)

    def sleep(_: float) -> None:
        if left:
            left.pop(0)()
            return
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "sleep", sleep)


def run(*, follow: bool = False, json_output: bool = True) -> int:
    arguments = LogsArguments(
        context=None,
        json_output=json_output,
        session="hello",
        namespace=None,
        follow=follow,
        operator_namespace=None,
    )
    try:
        return logs(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


def printed_lines(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line)["line"] for line in capsys.readouterr().out.splitlines()]


def test_containers_are_requested_by_name(node: FakeLogs, capsys: pytest.CaptureFixture[str]) -> None:
    node.write(AGENT, 1, "joined")
    node.write(OPERATOR, 2, '{"key": "calls/hello"}')
    assert run() == 0
    assert printed_lines(capsys) == ["joined", {"key": "calls/hello"}]
    containers = {log: query["container"] for log, query in node.requests if "container" in query}
    assert containers == {AGENT: "agent", OPERATOR: "operator"}


def test_operators_of_other_projects_are_ignored(node: FakeLogs, capsys: pytest.CaptureFixture[str]) -> None:
    node.write(path(PODS, "home", "strange-0", "log"), 1, '{"key": "calls/hello"}')
    operators = node.get("operators", PODS)["items"]
    operators.append(operator_pod("strange-0", "strange_operator"))
    node.write(AGENT, 2, "joined")
    assert run() == 0
    assert printed_lines(capsys) == ["joined"]


def test_missing_permission_is_an_error(node: FakeLogs) -> None:
    node.logs[AGENT, "false"] = ForbiddenError("not allowed to read the log of hello-0")
    with pytest.raises(CommandError, match="not allowed to read the log of hello-0"):
        run()


@pytest.mark.parametrize("error", [ObjectNotFoundError("gone"), BadRequestError("is waiting to start")])
def test_pod_without_log_prints_no_line(
    node: FakeLogs, error: CommandError, capsys: pytest.CaptureFixture[str]
) -> None:
    node.logs[AGENT, "false"] = error
    assert run() == 0
    assert capsys.readouterr() == ("", "")


def test_unreadable_pod_is_reported_beside_other_pods(node: FakeLogs, capsys: pytest.CaptureFixture[str]) -> None:
    node.logs[AGENT, "false"] = CommandError("cannot read the log of hello-0: 500")
    node.write(OPERATOR, 2, '{"key": "calls/hello"}')
    assert run() == 1
    printed = capsys.readouterr()
    assert (len(printed.out.splitlines()), printed.err) == (1, "cannot read the log of hello-0: 500\n")


def test_log_before_restart_comes_first(node: FakeLogs, capsys: pytest.CaptureFixture[str]) -> None:
    node.restart_agent()
    node.write(AGENT, 1, "first", previous="true")
    node.write(AGENT, 2, "second")
    assert run() == 0
    assert printed_lines(capsys) == ["first", "second"]


def test_followed_logs_are_complete_without_repetition(
    node: FakeLogs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write_late() -> None:
        node.write(AGENT, 99.5, "late")
        node.write(AGENT, 100.2, "alike")

    def write_identical_lines() -> None:
        for _ in range(2):
            node.write(AGENT, 100.2, "alike")

    node.write(AGENT, 1, "old")
    node.write(AGENT, 100, "last")
    run_between_rounds(
        monkeypatch, write_late, write_identical_lines, lambda: node.write(AGENT, 200, "much later"), lambda: None
    )
    assert run(follow=True) == INTERRUPTED
    assert printed_lines(capsys) == ["old", "last", "late", "alike", "alike", "alike", "much later"]
    since = [query.get("sinceTime") for log, query in node.requests if log == AGENT]
    assert since == [None, after(90), after(90), after(90), after(190)]


def test_failed_round_neither_loses_nor_repeats_lines(
    node: FakeLogs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node.write(AGENT, 1, "before")
    lines = node.logs[AGENT, "false"]

    def fail() -> None:
        node.logs[AGENT, "false"] = CommandError("broken off")

    def recover() -> None:
        node.logs[AGENT, "false"] = lines
        node.write(AGENT, 2, "meanwhile")

    run_between_rounds(monkeypatch, fail, lambda: None, recover)
    assert run(follow=True) == INTERRUPTED
    printed = capsys.readouterr()
    assert [json.loads(line)["line"] for line in printed.out.splitlines()] == ["before", "meanwhile"]
    assert printed.err == "broken off\n"


def test_operator_line_of_new_pod_is_printed_later(
    node: FakeLogs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node.write(OPERATOR, 1, '{"pod": "hello-1", "message": "made"}')
    both = {"items": [pod("hello-0"), pod("hello-1")]}
    run_between_rounds(monkeypatch, lambda: node.objects.update({path(PODS, "calls"): both}))
    assert run(follow=True) == INTERRUPTED
    assert printed_lines(capsys) == [{"pod": "hello-1", "message": "made"}]


@pytest.mark.parametrize("end", [{SESSION: session(phase="Finished")}, {SESSION: ObjectNotFoundError("gone")}])
def test_follow_ends_with_session(
    node: FakeLogs, end: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node.write(AGENT, 1, "joined")
    run_between_rounds(monkeypatch, lambda: node.objects.update(end))
    assert run(follow=True) == 0
    assert printed_lines(capsys) == ["joined"]


def test_text_line_has_time_source_level_and_message(node: FakeLogs, capsys: pytest.CaptureFixture[str]) -> None:
    node.write(AGENT, 1, '{"level": "INFO", "message": "joined", "room": "vs-a"}')
    assert run(json_output=False) == 0
    assert capsys.readouterr().out == "10:00:01.000 agent    INFO    joined room=vs-a\n"


def test_merge_keeps_only_operator_lines_about_session() -> None:
    lines = ['2026-01-01T10:00:02.5Z {"message": "joined"}', "2026-01-01T10:00:04Z plain text"]
    agent = parse_entries("agent", "p", lines)
    texts = ['{"key": "calls/hello", "message": "again"}', '{"key": "calls/other"}', "no JSON of calls/hello"]
    operator = parse_entries("operator", "o", [f"2026-01-01T10:00:03.123456789Z {text}" for text in texts])
    merged = merge([agent], [operator], frozenset({"calls/hello"}))
    assert [entry.source for entry in merged] == ["agent", "operator", "agent"]
    assert merged[1].line() == "10:00:03.123 operator         again key=calls/hello"
