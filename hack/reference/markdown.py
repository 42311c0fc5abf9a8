"""The little Markdown that the reference is written in."""

from collections.abc import Iterable, Sequence


def code(text: object) -> str:
    """Text in code style; nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells may hold anything but line breaks, which become spaces."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def section(level: int, title: str, *parts: str) -> str:
    """A heading and what stands below it; empty parts are left out."""
    return "\n\n".join([f"{'#' * level} {title}", *(part for part in parts if part)])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
