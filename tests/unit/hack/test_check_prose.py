"""The rules of `hack.check_prose`: each one finds its violation, and the figures count correctly."""

import subprocess
from pathlib import Path

import pytest

from hack import check_prose
from hack.prose import structure
from hack.prose.figures import Figures
from hack.prose.language import name_parts

LONG_TEXT = " ".join(["word"] * 200)


def check(tmp_path: Path, content: str, name: str = "a.py") -> tuple[Figures, list[str]]:
    path = tmp_path / name
    path.write_text(content)
    figures, violations = check_prose.check_files([path])
    return figures, [violation.removeprefix(str(path)) for violation in violations]


@pytest.mark.parametrize(
    ("content", "violation"),
    [
        ("# who says what\n", ": 2 times who/what in 3 words"),
        ("# it tells, and is told\n", ": 2 times tell/told in 5 words"),
        ("# as she likes\n", ": 1 times he/she: write they, or the noun"),
        ('def f():\n    """Whether it works."""\n', ":1: docstring begins with a clause: Whether it works."),
        ('class C:\n    """What it is."""\n', ":1: docstring begins with a clause: What it is."),
        ("def test_what_is_left(): ...\n", ":1: test name with a pronoun: test_what_is_left"),
        ("x = 1\nold_verdict = x\n", ":2: private word in the identifier old_verdict"),
    ],
    ids=["pronouns", "vague verbs", "gender", "function", "class", "test name", "private word"],
)
def test_violation_is_found_in_code(tmp_path: Path, content: str, violation: str) -> None:
    assert check(tmp_path, content)[1] == [violation]


@pytest.mark.parametrize(
    "content",
    [
        "# what remains\n",
        f"# {LONG_TEXT}\n# {LONG_TEXT}\n# who {LONG_TEXT}\n# what {LONG_TEXT}\n",
        'text = "who, what, whoever, she"\n',
        "# `who` and `what` are identifiers\n",
    ],
    ids=["single", "rare", "string", "code"],
)
def test_acceptable_code_has_no_violation(tmp_path: Path, content: str) -> None:
    assert check(tmp_path, content)[1] == []


def test_document_is_checked_without_code_blocks(tmp_path: Path) -> None:
    text = "Who reads what?\n\n```text\nshe tells whoever\n```\n"
    assert check(tmp_path, text, "a.md")[1] == [": 2 times who/what in 3 words"]


def test_figures_count_code_and_documents(tmp_path: Path) -> None:
    code = '''"""A module."""


def test_it():
    """Return one."""


def test_sum():
    """The sum, as told."""  # who
'''
    figures, _ = check(tmp_path, code)
    assert (figures.tests, figures.pronoun_names, figures.docstrings, figures.verbs) == (2, 1, 2, 1)
    assert (figures.words["code"], figures.pronouns["code"], figures.vague_verbs["code"]) == (9, 1, 1)
    document, _ = check(tmp_path, "What is *this*? I told you.\n", "a.md")
    assert (document.words["documents"], document.pronouns["documents"], document.vague_verbs["documents"]) == (6, 1, 1)


def test_figures_compare_with_limits() -> None:
    figures = Figures(docstrings=10, verbs=5, tests=10, pronoun_names=1, private_words=1)
    figures.words["code"], figures.pronouns["code"] = 1000, 3
    within = {label: (value, is_kept) for label, value, _, is_kept in figures.rows()}
    assert within["who/what/whoever per 1000 words of code"] == (3, True)
    assert within["share of function docstrings that begin with a verb"] == (0.5, False)
    assert within["share of test names with a pronoun"] == (0.1, False)
    assert within["private words in identifiers"] == (1, False)


@pytest.mark.parametrize(
    ("name", "parts"),
    [("_old_name", ["old", "name"]), ("ControlServer", ["control", "server"]), ("HTTPError", ["http", "error"])],
)
def test_name_parts_are_lower_case_words(name: str, parts: list[str]) -> None:
    assert name_parts(name) == parts


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in (
        "operator/voicesession_operator/domain",
        "gateway/voicesession_gateway",
        "tests/unit/operator/domain",
    ):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def write(path: str, lines: int, text: str = "x = 1\n") -> Path:
    file = Path(path)
    file.write_text(text * lines)
    return file


def test_long_file_is_a_violation(repository: Path) -> None:
    path = write("long.py", structure.LONGEST_FILE + 1)
    assert list(structure.check_lengths([path], {})) == ["long.py: 301 lines, more than 300"]


def test_short_production_file_needs_a_reason(repository: Path) -> None:
    name = "gateway/voicesession_gateway/short.py"
    path = write(name, structure.SHORTEST_FILE - 1)
    assert list(structure.check_lengths([path], {})) == [
        f"{name}: 59 lines: merge it, or add a reason to short_files.txt"
    ]
    assert list(structure.check_lengths([path], {name: "lowest layer"})) == []
    write(name, structure.SHORTEST_FILE)
    assert list(structure.check_lengths([path], {name: "old"})) == [f"{name}: 60 lines: remove it from short_files.txt"]


def test_reason_is_required_in_table() -> None:
    assert structure.read_reasons("a.py: lowest layer\n") == {"a.py": "lowest layer"}
    with pytest.raises(ValueError, match=r"no reason in the line: b\.py"):
        structure.read_reasons("a.py: lowest layer\nb.py\n")


@pytest.mark.parametrize(
    ("name", "is_valid"),
    [
        ("operator/domain/test_plan.py", True),
        ("operator/domain/test_plan_after_crash.py", True),
        ("operator/domain/test_planning.py", False),
        ("operator/test_plan.py", False),
        ("operator/domain/conftest.py", True),
        ("docs/test_reader.py", True),
    ],
)
def test_test_file_is_named_after_module(name: str, is_valid: bool) -> None:
    modules = frozenset({"operator/voicesession_operator/domain/plan.py"})
    found = list(structure.check_test_files([structure.UNIT_TESTS / name], modules))
    assert bool(found) is not is_valid


def test_class_name_of_two_packages_is_a_violation(repository: Path) -> None:
    first = write("operator/voicesession_operator/a.py", 1, "class Pod: ...\nclass _Own: ...\n")
    second = write("gateway/voicesession_gateway/b.py", 1, "class Pod: ...\nclass _Own: ...\n")
    third = write("gateway/voicesession_gateway/c.py", 1, "class Room: ...\n")
    violation = f"{first}, {second}: the class name Pod is not unique"
    assert list(structure.check_class_names([first], [first, second, third])) == [violation]
    assert list(structure.check_class_names([third], [first, second, third])) == []


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("import livekit.rtc._ffi_client\n", "livekit.rtc._ffi_client"),
        ("from livekit.rtc._ffi_client import f\n", "livekit.rtc._ffi_client.f"),
        ("from livekit.rtc import _ffi_client\n", "livekit.rtc._ffi_client"),
        ("def f():\n    from livekit.agents.voice.generation import x\n", "livekit.agents.voice.generation.x"),
        ("from livekit.agents import ipc\n", "livekit.agents.ipc"),
        ('MODULES = ["livekit.agents.ipc._preload"]\n', "livekit.agents.ipc._preload"),
    ],
    ids=["module", "function", "name", "nested", "package", "string"],
)
def test_private_module_of_livekit_is_a_violation(repository: Path, line: str, module: str) -> None:
    path = write("gateway/voicesession_gateway/a.py", 1, line)
    message = f"{path}: {module} is private: use it in livekit_internals.py only"
    assert list(structure.check_private_modules([path])) == [message]


def test_private_module_is_allowed_in_internals_and_tests(repository: Path) -> None:
    line = "from livekit.agents.ipc import _preload\n"
    structure.INTERNALS.parent.mkdir(parents=True)
    paths = [write(str(structure.INTERNALS), 1, line), write("tests/unit/test_a.py", 1, line)]
    public = "from livekit.agents import AgentServer, llm\nfrom livekit.agents.types import NOT_GIVEN\n"
    paths.append(write("gateway/voicesession_gateway/b.py", 1, public))
    assert list(structure.check_private_modules(paths)) == []


def test_main_checks_tracked_files(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.py", 1, "# who says what\n")
    write("untracked.py", 1, "# whoever says whatever\n")
    for command in (("init", "-q"), ("add", "a.py")):
        subprocess.run(["git", *command], check=True, capture_output=True)
    assert check_prose.main(["--figures"]) == 1
    printed = capsys.readouterr().out
    assert "a.py: 2 times who/what in 3 words" in printed
    assert "untracked" not in printed
    assert "over  who/what/whoever per 1000 words of code: 667 (limit 3)" in printed


def test_reasons_for_short_files_are_complete() -> None:
    reasons = structure.read_reasons(structure.SHORT_FILES.read_text())
    assert list(reasons) == sorted(reasons)
    assert [path for path in reasons if not Path(path).is_file()] == []


@pytest.mark.parametrize(
    ("arguments", "is_found"),
    [
        ('(command.time, "sleep", sleep)', True),
        ('("package.module.asyncio.sleep", sleep)', True),
        ('(command, "sleep", sleep)', False),
    ],
)
def test_patched_sleep_of_the_process_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, is_found: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("tests/test_x.py")
    path.parent.mkdir()
    path.write_text(f"monkeypatch.setattr{arguments}")
    assert any(structure.check_patches([path])) is is_found
