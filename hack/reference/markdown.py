"""Markdown elements of the reference."""

from collections.abc import Iterable, Sequence


def code(text: object) -> str:
    """Return the text in code style; empty text stays empty."""
    return f"`{text}`" if str(text) else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; line breaks in cells become spaces."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def section(level: int, title: str, *parts: str) -> str:
    """Return a heading with its parts; empty parts are left out."""
    return "\n\n".join([f"{'#' * level} {title}", *(part for part in parts if part)])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
