"""The formatting problems that `hack.check_files` finds in single files."""

from pathlib import Path

import pytest

from hack import check_files


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.py", b"x = 1", "does not end with exactly one line break"),
        ("a.py", b"x = 1\n\n", "does not end with exactly one line break"),
        ("a.py", b"x = 1 \ny = 2\n", "line 1 ends with spaces"),
        ("a.py", b"x = 1\r\n", "line 1 has a carriage return"),
        ("a.py", b"<<<<<<< HEAD\n", "line 1 is left over from a merge"),
        ("a.yaml", b"a: [\n", "cannot be read"),
        ("a.json", b"{,}\n", "cannot be read"),
        ("a.png", b"\0" * (check_files.LARGEST_BYTES + 1), "has 1048577 bytes"),
    ],
    ids=["no line break", "two line breaks", "spaces", "carriage return", "merge", "yaml", "json", "size"],
)
def test_malformed_file_has_problem(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    (found,) = check_files.problems(path)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.py", b"x = 1\n"),
        ("empty.py", b""),
        ("a.png", b"\0\r\n "),
        ("a.yaml", b"a: 1\n---\nb: 2\n"),
        ("a.json", b"{}\n"),
    ],
    ids=["python", "empty", "binary", "yaml", "json"],
)
def test_well_formed_file_has_no_problem(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert list(check_files.problems(path)) == []


def test_chart_template_is_not_parsed_as_yaml(tmp_path: Path) -> None:
    path = tmp_path / "templates" / "a.yaml"
    path.parent.mkdir()
    path.write_text("{{ if .Values.a }}\na: [\n{{ end }}\n")
    assert list(check_files.problems(path)) == []


def test_main_prints_a_line_per_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text("x = 1 \ny = 2 \n")
    assert check_files.main([str(tmp_path / "a.py"), str(tmp_path / "gone.py")]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2
