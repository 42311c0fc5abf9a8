"""Completion by shells and kubectl: the installed programs, with a fake API server."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from voicesession_cli.__main__ import main
from voicesession_cli.kube_client import SESSIONS, path

from tests.support.fakes.cli_api import session

PROGRAM = Path(sys.executable).parent / "kubectl_complete-voice"
COMMANDS = {"ls", "describe", "logs", "reset", "end", "drain-check", "doctor", "completion", "talk"}


class SessionsHandler(BaseHTTPRequestHandler):
    """Serves two sessions in the namespace `calls`."""

    def do_GET(self) -> None:
        has_sessions = self.path == path(SESSIONS, "calls")
        body = json.dumps({"items": [session("hello"), session("help")] if has_sessions else []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Discard the log line."""


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with ThreadingHTTPServer(("127.0.0.1", 0), SessionsHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "calls"}}],
        }
        file = tmp_path_factory.mktemp("kube") / "config"
        file.write_text(json.dumps(config))
        yield file
        server.shutdown()


def completions(kubeconfig: Path, *words: str) -> set[str]:
    """Return kubectl's completions after `kubectl voice` and the words, of which the last one is incomplete."""
    env = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, env=env, timeout=60, check=True)
    *found, directive = done.stdout.splitlines()
    assert (directive, done.stderr) == (":4", "")
    return set(found)


def test_commands_are_completed(kubeconfig: Path) -> None:
    assert completions(kubeconfig, "") >= COMMANDS
    assert completions(kubeconfig) >= COMMANDS
    assert completions(kubeconfig, "d") == {"describe", "drain-check", "doctor"}


def test_session_names_come_from_cluster(kubeconfig: Path) -> None:
    assert {"hello", "help"} <= completions(kubeconfig, "describe", "")
    assert completions(kubeconfig, "talk", "hell") == {"hello"}
    assert completions(kubeconfig, "logs", "-n", "elsewhere", "he") == set()


def test_flags_and_values_are_completed(kubeconfig: Path) -> None:
    assert completions(kubeconfig, "ls", "-o", "j") == {"json"}
    assert completions(kubeconfig, "talk", "hello", "--say", "it's me", "--li") == {"--listen", "--linger"}


def test_commands_are_completed_without_cluster(tmp_path: Path) -> None:
    missing = tmp_path / "config"
    assert completions(missing, "dr") == {"drain-check"}
    assert completions(missing, "describe", "he") == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_of_each_shell_covers_both_programs(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(program in script for program in ("voicesession", "kubectl-voice"))


def test_bash_completes_with_script(kubeconfig: Path) -> None:
    program = PROGRAM.parent / "voicesession"
    script = (
        f'source <("{program}" completion bash); COMP_LINE="voicesession describe hel"; COMP_POINT=${{#COMP_LINE}}; '
        "COMP_TYPE=9; COMP_WORDS=(voicesession describe hel); COMP_CWORD=2; "
        '_python_argcomplete voicesession; echo "${COMPREPLY[@]}"'
    )
    env = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=env, timeout=60, check=True)
    assert set(done.stdout.split()) == {"hello", "help"}
