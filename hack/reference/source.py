"""String constants of a module: name, value, and the docstring below."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hack.reference.markdown import code


class Constant(NamedTuple):
    """One constant; `owner` is its class, or empty."""

    owner: str
    name: str
    value: str
    text: str


def constants(path: Path) -> list[Constant]:
    """Return the string constants of a module and of its classes, in order."""
    return list(_constants("", ast.parse(path.read_text()).body))


def rows(found: list[Constant]) -> list[tuple[str, str]]:
    """Return value and text of each constant as table rows. Raises ValueError for constants without a text."""
    undocumented = [constant.name for constant in found if not constant.text]
    if undocumented:
        raise ValueError(f"add a docstring below: {', '.join(undocumented)}")
    return [(code(constant.value), constant.text) for constant in found]


def _constants(owner: str, body: list[ast.stmt]) -> Iterator[Constant]:
    for statement, below in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(statement, ast.ClassDef):
            yield from _constants(statement.name, statement.body)
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and (value := _text(statement.value)):
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            yield Constant(owner, ast.unparse(target), value, " ".join(_docstring(below).split()))


def _docstring(statement: ast.stmt) -> str:
    return _text(statement.value) if isinstance(statement, ast.Expr) else ""


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
