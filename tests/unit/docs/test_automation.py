"""CI and pre-commit run what the Makefile and the virtual environment have, and nothing that can change under them."""

import re

import yaml

from hack.cluster.names import ROOT

TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)
PINNED = re.compile(r"^[\w-]+/[\w-]+@[0-9a-f]{40}$")
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text())
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]


def test_ci_runs_targets_of_the_makefile() -> None:
    targets = TARGET.findall((ROOT / "Makefile").read_text())
    runs = [step["run"].split() for step in STEPS if "run" in step]
    assert {"lint", "unit", "test"} == {target for _, target in runs}
    assert all(make == "make" and target in targets for make, target in runs)


def test_actions_are_pinned_to_a_commit() -> None:
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used
    assert [action for action in used if not PINNED.match(action)] == []


def test_ci_may_read_and_nothing_else() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in WORKFLOW["jobs"].values())


def test_hooks_come_from_this_repository() -> None:
    assert [repo["repo"] for repo in HOOKS] == ["local"]
    hooks = HOOKS[0]["hooks"]
    assert all(hook["language"] == "system" and ".venv/bin/" in hook["entry"] for hook in hooks)
