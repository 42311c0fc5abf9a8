"""JSON schemas for kubeconform, generated from the cluster's OpenAPI document and from our CRDs, without downloads."""

import json
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

GVK = "x-kubernetes-group-version-kind"
LOCATION = "{{ .ResourceKind }}{{ .KindSuffix }}.json"
"""kubeconform's file name for a kind, e.g. `deployment-apps-v1.json`."""
NUMBER_OR_TEXT: Schema = {"anyOf": [{"type": "string"}, {"type": "number"}]}
LOOSE = ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "io.k8s.apimachinery.pkg.api.resource.Quantity")


def write_builtin(openapi: Schema, folder: Path) -> None:
    """Write one strict schema for each built-in kind of the API server."""
    definitions = {name: strict(schema) for name, schema in openapi["definitions"].items()}
    definitions |= dict.fromkeys(LOOSE, NUMBER_OR_TEXT)
    for name, schema in definitions.items():
        for gvk in schema.get(GVK, []):
            needed = _closure(name, definitions)
            document = {"$ref": f"#/definitions/{name}", "definitions": {n: definitions[n] for n in needed}}
            _write(folder, gvk["group"], gvk["version"], gvk["kind"], document)


def write_crd(crd: Schema, folder: Path) -> None:
    """Write one strict schema for each version of a CustomResourceDefinition."""
    spec = crd["spec"]
    for version in spec["versions"]:
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        _write(folder, spec["group"], version["name"], spec["names"]["kind"], schema)


def _write(folder: Path, group: str, version: str, kind: str, schema: Schema) -> None:
    parts = [kind.lower(), *([group.split(".", maxsplit=1)[0]] if group else []), version]
    (folder / f"{'-'.join(parts)}.json").write_text(json.dumps(schema))


def strict(schema: Schema) -> Schema:
    """Return the schema without unknown fields, at every depth."""
    found = {**schema}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found[key] = strict(schema[key])
    if "properties" in schema:
        found["properties"] = {name: strict(child) for name, child in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
    return found


def _closure(name: str, definitions: dict[str, Schema]) -> set[str]:
    """Return the names of a definition and of all definitions that it refers to."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += _references(definitions[current])
    return found


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [r for item in node for r in _references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"].removeprefix("#/definitions/")] if isinstance(node.get("$ref"), str) else []
    return own + [r for value in node.values() for r in _references(value)]
