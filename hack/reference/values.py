"""The chart's values: defaults and comments of values.yaml, and the bounds of values.schema.json."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from hack.cluster.constants import CHART
from hack.reference.markdown import code, section, table

Schema = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """One value with its default, or a group of values with an empty `default`."""

    path: str
    default: str
    comment: str


def render() -> str:
    """Return one table for each block of values.yaml, after the top-level values."""
    values, schema = read((CHART / "values.yaml").read_text()), json.loads((CHART / "values.schema.json").read_text())
    blocks: dict[str, list[Value]] = {}
    for value in values:
        block = value.path.partition(".")[0]
        is_top_level = "." not in value.path and value.default != ""
        blocks.setdefault("" if is_top_level else block, []).append(value)
    return section(2, "Values of the chart", *(_block(name, found, schema) for name, found in blocks.items()))


def read(text: str) -> list[Value]:
    """Return the values of a YAML text in order, each with the comment above its key."""
    node = yaml.compose(text)
    return list(_values("", node, text)) if node else []


def _values(path: str, node: yaml.Node, text: str) -> Iterator[Value]:
    for key, value in node.value:
        child, comment = f"{path}{key.value}", _comment_above(key.start_mark.line, text.splitlines())
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield Value(child, "", comment)
            yield from _values(f"{child}.", value, text)
        else:
            yield Value(child, text[value.start_mark.index : value.end_mark.index].strip(), comment)


def _comment_above(number: int, lines: list[str]) -> str:
    found: list[str] = []
    while number > 0 and lines[number - 1].lstrip().startswith("#"):
        number -= 1
        found.insert(0, lines[number].lstrip("# "))
    return " ".join(found)


def _block(name: str, values: list[Value], schema: Schema) -> str:
    about = next((value.comment for value in values if value.path == name), "")
    rows = [
        (code(value.path), code(value.default), _allowed(_schema_of(value.path, schema)), value.comment)
        for value in values
        if value.path != name and (value.default or value.comment)
    ]
    return section(
        3, f"Values: {name or 'names and pulls'}", about, table(("value", "default", "allowed", "meaning"), rows)
    )


def _schema_of(path: str, schema: Schema) -> Schema:
    """Return the schema of a value. Raises KeyError if it is missing.

    The schema of a map with free keys is the schema of its values.
    """
    found = schema
    for part in path.split("."):
        subschema = found.get("properties", {}).get(part) or found.get("additionalProperties")
        if not subschema:
            raise KeyError(path)
        found = subschema
        if "$ref" in found:
            found = schema["definitions"][found["$ref"].rpartition("/")[2]]
    return found


def _allowed(schema: Schema) -> str:
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    if "maximum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}"
    return str(schema.get("type", ""))
