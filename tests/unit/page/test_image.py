"""The step of the gateway's Dockerfile that copies the page, run in a shell."""

import re
import subprocess
from pathlib import Path

import pytest

from hack.cluster.constants import ROOT

INDEX = "gateway/page/dist/index.html"


def step(folder: Path, page: str) -> "subprocess.CompletedProcess[str]":
    found = re.search(r"^RUN (if .*?\bfi)$", (ROOT / "gateway" / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return subprocess.run(
        ["/bin/sh", "-c", found[1]],
        cwd=folder,
        env={"PAGE": page, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
        text=True,
    )


def test_image_build_without_built_page_fails(tmp_path: Path) -> None:
    done = step(tmp_path, "built")
    assert done.returncode == 1
    assert "npm run build" in done.stderr


@pytest.mark.parametrize(("page", "has_page"), [("built", True), ("none", False)])
def test_image_contains_page_unless_disabled(tmp_path: Path, page: str, has_page: bool) -> None:
    index = tmp_path / INDEX
    index.parent.mkdir(parents=True)
    index.write_text("<title>voice</title>")
    assert step(tmp_path, page).returncode == 0
    assert index.parent.is_dir()
    assert index.is_file() == has_page
