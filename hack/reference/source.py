"""Constants as a reader of their source sees them: name, value, and the text right below."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hack.reference.markdown import code


class Constant(NamedTuple):
    """`owner` is the class that it stands in, or empty."""

    owner: str
    name: str
    value: str
    text: str


def constants(path: Path) -> list[Constant]:
    """Every string constant of a module and of its classes, in their order."""
    return list(_constants("", ast.parse(path.read_text()).body))


def rows(found: list[Constant]) -> list[tuple[str, str]]:
    """Value and text of each, as table rows. Raises ValueError that names those without a text."""
    silent = [constant.name for constant in found if not constant.text]
    if silent:
        raise ValueError(f"say in a string below it what it means: {', '.join(silent)}")
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
