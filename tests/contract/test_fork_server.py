"""The fork server that is forked from the supervisor, with the installed Python's multiprocessing."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, logging, multiprocessing, os, signal, sys
from multiprocessing import forkserver
from voicesession_agent.supervisor import fork_server

def report(pipe):
    pipe.send((os.getppid(), "voicesession_agent.protocol" in sys.modules, logging.getLogger().handlers))

def ask():
    here, there = context.Pipe()
    process = context.Process(target=report, args=(there,))
    process.start()
    parent, is_imported, handlers = here.recv()
    process.join()
    return {"parent": parent, "imported": is_imported, "handlers": len(handlers), "code": process.exitcode}

if __name__ == "__main__":
    fork_server.start(["voicesession_agent.protocol", "no.such.module"])
    logging.basicConfig()
    context = multiprocessing.get_context("forkserver")
    first = forkserver._forkserver._forkserver_pid
    found = [ask(), ask()]
    if sys.argv[1] == "killed":
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        found.append(ask())
    print(json.dumps({"server": first, "found": found}))
"""
SECONDS = 120


@pytest.mark.parametrize("fault", ["none", "killed"])
def test_jobs_are_forked_with_imported_modules(tmp_path: pytest.TempPathFactory, fault: str) -> None:
    script = f"{tmp_path}/main.py"
    with open(script, "w") as file:
        file.write(SCRIPT)
    ended = subprocess.run(
        [sys.executable, script, fault], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stderr
    printed = json.loads(ended.stdout)
    own, others = printed["found"][:2], printed["found"][2:]
    assert own == [{"parent": printed["server"], "imported": True, "handlers": 0, "code": 0}] * 2
    assert [(one["imported"], one["code"]) for one in others] == [(True, 0)] * len(others)
    assert all(one["parent"] != printed["server"] for one in others)
