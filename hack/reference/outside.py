"""The reasons of errors in the source of the clients: `RetryableError(REASON, message)` and similar calls."""

import ast
from collections.abc import Iterator

KINDS = frozenset({"RetryableError", "ConflictError", "NotFoundError", "TerminalError", "kind"})
"""The classes of adapters.errors, and the name for one of them that was chosen before."""


def errors(source: str) -> Iterator[tuple[str, str]]:
    """Yield reason and message of each error; variable parts become an ellipsis, variable reasons are left out."""
    tree = ast.parse(source)
    known = {ast.unparse(node.target): node.value for node in tree.body if isinstance(node, ast.AnnAssign)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in KINDS and node.args:
            reason = _text(known.get(ast.unparse(node.args[0])) or node.args[0])
            if reason:
                yield reason, _text(node.args[1]) or "…"


def _text(node: ast.expr) -> str:
    """Return the text of a string literal; empty for any other expression."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or "…" for part in parts)
        case _:
            return ""
