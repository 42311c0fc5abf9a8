"""Unit tests of the page, run in Node; the size in its README; the inputs of its build."""

import re
import subprocess
from pathlib import Path

import pytest

from hack.cluster import web_page


def test_page_unit_tests_pass() -> None:
    done = subprocess.run(
        [str(web_page.node()), "--test"], cwd=web_page.PAGE, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not web_page.is_built(), reason="the page is built by `make up`, or with npm")
def test_page_size_matches_readme() -> None:
    shown = re.search(r"`page\.js` is (\d+) kB, (\d+) kB compressed", (web_page.PAGE / "README.md").read_text())
    assert shown
    sizes = [(web_page.DIST / name).stat().st_size / 1000 for name in ("page.js", "page.js.gz")]
    assert sizes == [pytest.approx(int(kilobytes), abs=1) for kilobytes in shown.groups()]


def test_page_build_stamp_changes_with_source(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    source = tmp_path / "src" / "main.js"
    source.write_text("one")
    before = web_page.inputs(tmp_path)
    source.write_text("two")
    assert web_page.inputs(tmp_path) != before
    source.write_text("one")
    assert web_page.inputs(tmp_path) == before
