"""The custom resources, from the CRDs of the chart."""

from collections.abc import Iterator
from typing import Any

import yaml

from hack.cluster.constants import CHART
from hack.reference.markdown import code, section, table

Schema = dict[str, Any]

KINDS = ("voicesessions", "voiceagents", "voicepools")


def render() -> str:
    """Return one section for each kind."""
    return "\n\n".join(_kind(plural) for plural in KINDS)


def _kind(plural: str) -> str:
    crd = yaml.safe_load((CHART / "crds" / f"{plural}.yaml").read_text())["spec"]
    (version,) = crd["versions"]
    schema, names = version["schema"]["openAPIV3Schema"], crd["names"]
    facts = (
        f"apiVersion {code(crd['group'] + '/' + version['name'])}, {crd['scope'].lower()}, "
        f"`kubectl get {names['plural']}` or {', '.join(map(code, names['shortNames']))}."
    )
    parts = [_part(names["kind"], name, schema["properties"][name]) for name in ("spec", "status")]
    return section(2, names["kind"], schema["description"], facts, _columns(version), *parts)


def _columns(version: Schema) -> str:
    """Return the columns of `kubectl get`; a priority above 0 means `-o wide` only."""
    rows = [
        (column["name"].upper(), code(column["jsonPath"]), "`-o wide`" if column.get("priority") else "always")
        for column in version["additionalPrinterColumns"]
    ]
    return table(("column", "shows", "when"), rows)


def _part(kind: str, name: str, schema: Schema) -> str:
    rows = [(code(path), _type(field), field.get("description", "")) for path, field in _fields(name, schema)]
    return section(
        3, f"{kind} {name}", schema["description"], table(("field", "type", "meaning"), rows), _rules(schema)
    )


def _fields(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield every field below `schema` with its path, outer fields first."""
    for name, field in schema.get("properties", {}).items():
        child = f"{path}.{name}"
        yield child, {**field, "isRequired": name in schema.get("required", ())}
        yield from _fields(child, field)
        yield from _fields(f"{child}[]", field.get("items", {}))


def _type(field: Schema) -> str:
    kind = field["type"]
    if kind == "array":
        kind = f"list of {field['items']['type']}s"
    if "additionalProperties" in field:
        kind = f"map of {field['additionalProperties'].get('type', 'quantity')}s"
    if "enum" in field:
        kind = ", ".join(map(code, field["enum"]))
    notes = [kind, _bounds(field), "required" if field["isRequired"] else ""]
    if "default" in field:
        notes.append(f"default {code(field['default'])}")
    return ", ".join(note for note in notes if note)


def _bounds(field: Schema) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if high is not None:
        return f"{low} to {high}"
    if "maxItems" in field:
        return f"at most {field['maxItems']}"
    if "maxLength" in field and not {"enum", "format"} & field.keys():
        return f"at most {field['maxLength']} characters"
    return ""


def _rules(schema: Schema) -> str:
    """Return the validation rules across fields, with the messages of the API server."""
    found = list(dict.fromkeys(rule["message"] for node in _nodes(schema) for rule in _own_rules(node)))
    return "The API server also enforces these rules: " + "; ".join(found) + "." if found else ""


def _own_rules(schema: Schema) -> list[Schema]:
    found: list[Schema] = schema.get("x-kubernetes-validations", [])
    return found


def _nodes(schema: Schema) -> Iterator[Schema]:
    yield schema
    for child in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        yield from _nodes(child)
