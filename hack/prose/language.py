"""Rules for the language of one file: docstrings, comments, identifiers, names of tests, and documents."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from hack.prose.figures import MOST_PRONOUNS, MOST_VAGUE_VERBS, PRONOUN, VAGUE_VERB, Figures, Text

SHORT_TEXT_WORDS = 150
"""The limits per 1000 words are relaxed for a shorter text; a single match is never a violation."""
SHOWN_LENGTH = 80
GENDERED = re.compile(r"\b(she|her|hers|herself|he|him|his|himself)\b", re.IGNORECASE)
CLAUSE = re.compile(r"(What|Who|Whom|Whose|Whoever|Where|Whether|How|Why|Until|Of|From|By|As|That)\b")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
MARKUP = re.compile(r"`[^`\n]*`|<[^>\n]*>|\]\([^)]*\)")
WORDS = Path(__file__).resolve().parents[1] / "words"


def _read_words(name: str) -> frozenset[str]:
    return frozenset((WORDS / f"{name}.txt").read_text().split())


NAME_PRONOUNS = _read_words("pronouns")
EXTERNAL_NAMES = frozenset({"departure_timeout"})
"""Names of other projects that contain a private word: LiveKit's CreateRoomRequest.departure_timeout."""
PRIVATE_WORDS = _read_words("private")
"""Words that this project once used for concepts with a standard name; docs/glossary.md has the names."""
VERBS = _read_words("verbs")


def check_document(path: Path, figures: Figures) -> Iterator[str]:
    """Yield the violations in a Markdown document and add its counts; code blocks and markup do not count."""
    text = Text(str(path), MARKUP.sub(" ", FENCE.sub(" ", path.read_text())))
    figures.add_text("documents", text)
    yield from _check_text(text)


def check_code(path: Path, figures: Figures) -> Iterator[str]:
    """Yield the violations in a Python file and add its counts."""
    source = path.read_text()
    tree = ast.parse(source)
    text = Text(str(path), _prose(source, tree))
    figures.add_text("code", text)
    yield from _check_text(text)
    yield from _check_docstrings(path, tree, figures)
    yield from _check_test_names(path, tree, figures)
    yield from _check_identifiers(path, source, figures)


def _check_text(text: Text) -> Iterator[str]:
    rules = ((PRONOUN, MOST_PRONOUNS, "who/what"), (VAGUE_VERB, MOST_VAGUE_VERBS, "tell/told"))
    for pattern, limit, label in rules:
        count = text.count(pattern)
        if count > 1 and 1000 * count / text.words > limit * max(1.0, SHORT_TEXT_WORDS / text.words):
            yield f"{text.path}: {count} times {label} in {text.words} words"
    gendered = text.count(GENDERED)
    if gendered:
        yield f"{text.path}: {gendered} times he/she: write they, or the noun"


def _check_docstrings(path: Path, tree: ast.Module, figures: Figures) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        docstring = ast.get_docstring(node)
        if not docstring:
            continue
        if CLAUSE.match(docstring):
            line = docstring.splitlines()[0][:SHOWN_LENGTH]
            yield f"{path}:{node.lineno}: docstring begins with a clause: {line}"
        if not isinstance(node, ast.ClassDef):
            figures.docstrings += 1
            figures.verbs += docstring.split()[0].strip(".,:;").lower() in VERBS


def _check_test_names(path: Path, tree: ast.Module, figures: Figures) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            figures.tests += 1
            if set(node.name.split("_")) & NAME_PRONOUNS:
                figures.pronoun_names += 1
                yield f"{path}:{node.lineno}: test name with a pronoun: {node.name}"


def _check_identifiers(path: Path, source: str, figures: Figures) -> Iterator[str]:
    seen = set(EXTERNAL_NAMES)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        name = token.string
        if token.type == tokenize.NAME and name not in seen and set(name_parts(name)) & PRIVATE_WORDS:
            seen.add(name)
            figures.private_words += 1
            yield f"{path}:{token.start[0]}: private word in the identifier {name}"


def name_parts(name: str) -> list[str]:
    """Return the lower-case words of a snake_case or CamelCase name."""
    return [part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def _prose(source: str, tree: ast.Module) -> str:
    """Return docstrings, attribute docstrings and comments."""
    strings = [
        node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return MARKUP.sub(" ", "\n".join([*strings, *comments]))
