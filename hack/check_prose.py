"""`python -m hack.check_prose [PATH...]`: check the language of code and documents; `--figures` prints the counts.

The rules are those of CONTRIBUTING.md, "Language". The limits come from the measured style of kopf, procrastinate,
structlog, httpx and dask-gateway, whose docstrings have 0 to 1 such pronouns per 1000 words.
"""

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("common", "operator", "gateway", "agent", "cli")
GENERATED = frozenset({"docs/reference.md", "docs/benchmarks.md", "CHANGELOG.md"})
SHORT_TEXT_WORDS = 150
"""In a text shorter than this, one pronoun alone is no violation."""
PRONOUNS_PER_1000 = 3.0
TELL_PER_1000 = 0.5
VERB_SHARE = 0.60
PRONOUN_NAME_SHARE = 0.05
LONGEST_FILE = 300
MOST_FILES = 165

WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
PRONOUN = re.compile(r"\b(who|whom|whose|whoever|what|whatever|whichever)\b", re.IGNORECASE)
TELL = re.compile(r"\b(tell|tells|told|telling)\b", re.IGNORECASE)
GENDERED = re.compile(r"\b(she|her|hers|herself|he|him|his|himself)\b", re.IGNORECASE)
CLAUSE = re.compile(r"(What|Who|Whom|Whose|Whoever|Where|Whether|How|Why|Until|Of|From|By|As|That)\b")
WORDS = Path(__file__).parent / "words"
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
MARKUP = re.compile(r"`[^`\n]*`|<[^>\n]*>|\]\([^)]*\)")


def _words(name: str) -> frozenset[str]:
    return frozenset((WORDS / f"{name}.txt").read_text().split())


NAME_PRONOUNS = _words("pronouns")
PRIVATE_WORDS = _words("private")
"""Words that this project once used for concepts that have a standard name; docs/glossary.md has the names."""

VERBS = _words("verbs")


@dataclass
class Text:
    """The prose of one file."""

    path: str
    prose: str

    @property
    def words(self) -> int:
        """Return the number of words."""
        return len(WORD.findall(self.prose))

    def count(self, pattern: re.Pattern[str]) -> int:
        """Return how often the pattern occurs."""
        return len(pattern.findall(self.prose))


@dataclass
class Figures:
    """Counts over many files."""

    words: Counter[str] = field(default_factory=Counter)
    pronouns: Counter[str] = field(default_factory=Counter)
    tells: Counter[str] = field(default_factory=Counter)
    docstrings: int = 0
    verbs: int = 0
    tests: int = 0
    pronoun_names: int = 0
    private_words: int = 0
    files: int = 0

    def add_text(self, kind: str, text: Text) -> None:
        """Add the counts of one text; `kind` is `code` or `documents`."""
        self.words[kind] += text.words
        self.pronouns[kind] += text.count(PRONOUN)
        self.tells[kind] += text.count(TELL)

    def per_1000(self, counts: Counter[str], kind: str) -> float:
        """Return occurrences per 1000 words."""
        return 1000 * counts[kind] / max(self.words[kind], 1)

    def rows(self) -> Iterator[tuple[str, float, float, bool]]:
        """Yield label, value, limit, and whether the value is within the limit."""
        for kind in ("code", "documents"):
            for label, counts, limit in (
                ("who/what/whoever", self.pronouns, PRONOUNS_PER_1000),
                ("tell/told", self.tells, TELL_PER_1000),
            ):
                value = self.per_1000(counts, kind)
                yield f"{label} per 1000 words of {kind}", value, limit, value <= limit
        share = self.verbs / max(self.docstrings, 1)
        yield "share of function docstrings that begin with a verb", share, VERB_SHARE, share >= VERB_SHARE
        share = self.pronoun_names / max(self.tests, 1)
        yield "share of test names with a pronoun", share, PRONOUN_NAME_SHARE, share <= PRONOUN_NAME_SHARE
        yield "Python files in the five packages", self.files, MOST_FILES, self.files <= MOST_FILES
        yield "private words in identifiers", self.private_words, 0, self.private_words == 0


def tracked(paths: Iterable[str]) -> list[Path]:
    """Return the tracked Python files and documents below `paths`."""
    done = subprocess.run(["git", "ls-files", "--", *paths], capture_output=True, text=True, check=True)
    names = [name for name in done.stdout.splitlines() if name.endswith((".py", ".md")) and name not in GENERATED]
    return [Path(name) for name in names if Path(name).is_file()]


def docstrings(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield every documented node with its docstring; attribute docstrings count as text of the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node, text


def prose_of_code(source: str, tree: ast.Module) -> str:
    """Return docstrings, attribute docstrings and comments."""
    strings = [
        node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return MARKUP.sub(" ", "\n".join([*strings, *comments]))


def identifiers(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of every identifier token."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def parts(name: str) -> list[str]:
    """Return the lower-case words of a snake_case or CamelCase name."""
    return [part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def _check_text(text: Text) -> Iterator[str]:
    for pattern, limit, label in ((PRONOUN, PRONOUNS_PER_1000, "who/what"), (TELL, TELL_PER_1000, "tell/told")):
        found = text.count(pattern)
        if found > 1 and 1000 * found / text.words > limit * max(1.0, SHORT_TEXT_WORDS / text.words):
            yield f"{text.path}: {found} times {label} in {text.words} words"
    gendered = text.count(GENDERED)
    if gendered:
        yield f"{text.path}: {gendered} times he/she: write they, or the noun"


def _check_python(path: Path, figures: Figures) -> Iterator[str]:
    source = path.read_text()
    tree = ast.parse(source)
    text = Text(str(path), prose_of_code(source, tree))
    figures.add_text("code", text)
    yield from _check_text(text)
    for node, doc in docstrings(tree):
        if not isinstance(node, ast.Module) and CLAUSE.match(doc):
            yield f"{path}:{getattr(node, 'lineno', 1)}: docstring begins with a clause: {doc.splitlines()[0][:80]}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            figures.docstrings += 1
            figures.verbs += doc.split()[0].strip(".,:;").lower() in VERBS
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            figures.tests += 1
            if set(node.name.split("_")) & NAME_PRONOUNS:
                figures.pronoun_names += 1
                yield f"{path}:{node.lineno}: test name with a pronoun: {node.name}"
    seen = set()
    for line, name in identifiers(source):
        if name not in seen and set(parts(name)) & PRIVATE_WORDS:
            seen.add(name)
            figures.private_words += 1
            yield f"{path}:{line}: private word in the identifier {name}"
    if len(source.splitlines()) > LONGEST_FILE:
        yield f"{path}: longer than {LONGEST_FILE} lines"


def _check_document(path: Path, figures: Figures) -> Iterator[str]:
    text = Text(str(path), MARKUP.sub(" ", FENCE.sub(" ", path.read_text())))
    figures.add_text("documents", text)
    yield from _check_text(text)


def check(paths: Iterable[Path]) -> tuple[Figures, list[str]]:
    """Return the figures of all files, and one line for each violation."""
    figures = Figures()
    found: list[str] = []
    for path in paths:
        if path.suffix == ".md":
            found += _check_document(path, figures)
        else:
            figures.files += path.parts[0] in PACKAGES
            found += _check_python(path, figures)
    return figures, found


def main(arguments: list[str]) -> int:
    """Print violations, and with `--figures` the counts; return 1 if a rule or a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("paths", nargs="*", default=["."])
    parser.add_argument("--figures", action="store_true")
    options = parser.parse_args(arguments)
    figures, found = check(tracked(options.paths))
    print("\n".join(found), end="\n" if found else "")
    rows = list(figures.rows())
    if options.figures:
        for label, value, limit, is_kept in rows:
            print(f"{'ok  ' if is_kept else 'over'}  {label}: {value:.3g} (limit {limit:g})")
    return 1 if found or not all(is_kept for *_, is_kept in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
