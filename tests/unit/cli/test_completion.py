"""Completion, as a shell and kubectl ask for it: the installed programs, against a cluster of one answer."""

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


class Answer(BaseHTTPRequestHandler):
    """Two sessions in the namespace calls."""

    def do_GET(self) -> None:
        known = self.path == path(SESSIONS, "calls")
        body = json.dumps({"items": [session("hello"), session("help")] if known else []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        given = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "calls"}}],
        }
        written = tmp_path_factory.mktemp("kube") / "config"
        written.write_text(json.dumps(given))
        yield written
        server.shutdown()


def offered(kubeconfig: Path, *words: str) -> set[str]:
    """What kubectl is offered after `kubectl voice` and these words; the last one is being typed."""
    env = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, env=env, timeout=60, check=True)
    *found, directive = done.stdout.splitlines()
    assert (directive, done.stderr) == (":4", "")
    return set(found)


def test_commands(kubeconfig: Path) -> None:
    assert offered(kubeconfig, "") >= COMMANDS
    assert offered(kubeconfig) >= COMMANDS
    assert offered(kubeconfig, "d") == {"describe", "drain-check", "doctor"}


def test_names_of_sessions_come_from_the_cluster(kubeconfig: Path) -> None:
    assert {"hello", "help"} <= offered(kubeconfig, "describe", "")
    assert offered(kubeconfig, "talk", "hell") == {"hello"}
    assert offered(kubeconfig, "logs", "-n", "elsewhere", "he") == set()


def test_flags_and_their_values(kubeconfig: Path) -> None:
    assert offered(kubeconfig, "ls", "-o", "j") == {"json"}
    assert offered(kubeconfig, "talk", "hello", "--say", "it's me", "--li") == {"--listen", "--linger"}


def test_without_a_cluster_there_are_still_commands(tmp_path: Path) -> None:
    nowhere = tmp_path / "config"
    assert offered(nowhere, "dr") == {"drain-check"}
    assert offered(nowhere, "describe", "he") == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script_for_both_programs(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(program in script for program in ("voicesession", "kubectl-voice"))


def test_bash_completes_with_that_script(kubeconfig: Path) -> None:
    program = PROGRAM.parent / "voicesession"
    ask = (
        f'source <("{program}" completion bash); COMP_LINE="voicesession describe hel"; COMP_POINT=${{#COMP_LINE}}; '
        "COMP_TYPE=9; COMP_WORDS=(voicesession describe hel); COMP_CWORD=2; "
        '_python_argcomplete voicesession; echo "${COMPREPLY[@]}"'
    )
    env = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, env=env, timeout=60, check=True)
    assert set(done.stdout.split()) == {"hello", "help"}
