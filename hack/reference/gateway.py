"""The gateway's HTTP API, from its OpenAPI document and its error codes."""

import json
from collections.abc import Iterator
from typing import Any

from voicesession_gateway.errors import STATUS, ErrorCode

from hack.cluster.constants import ROOT
from hack.reference.markdown import code, section, table
from hack.reference.source import constants, rows

PACKAGE = ROOT / "gateway" / "voicesession_gateway"
ABOUT = (
    "On port 9000. The OpenAPI 3.1 document is at `/api/v1/openapi.json` and in the source at "
    "`gateway/voicesession_gateway/openapi.json`."
)
ERRORS = 'Every error is `{"error": {"code": ..., "message": ...}}`; the message is for humans.'
SCHEMAS = ("TokenRequest", "Token", "SessionRequest", "Session")


def render() -> str:
    """Return the section with paths, bodies and error codes."""
    document = json.loads((PACKAGE / "openapi.json").read_text())
    bodies = [_body(name, document["components"]["schemas"][name]) for name in SCHEMAS]
    operations = table(("request", "answer", "meaning"), _operations(document["paths"]))
    return section(2, "HTTP API of the gateway", ABOUT, operations, *bodies, _errors())


def _operations(paths: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for path, item in paths.items():
        for method, operation in item.items():
            if method != "parameters":
                answers = ", ".join(status for status in operation["responses"] if status != "default")
                text = f"{operation['summary']}. {operation.get('description', '')}"
                yield code(f"{method.upper()} {path}"), answers, text


def _body(name: str, schema: dict[str, Any]) -> str:
    rows = [(code(path), kind, text) for path, kind, text in _fields("", schema)]
    return section(3, name, schema.get("description", ""), table(("field", "type", "meaning"), rows))


def _fields(prefix: str, schema: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, field in schema.get("properties", {}).items():
        kind = field["type"] if isinstance(field["type"], str) else " or ".join(field["type"])
        yield (
            prefix + name,
            ", ".join(map(code, field["enum"])) if "enum" in field else kind,
            field.get("description", ""),
        )
        yield from _fields(f"{prefix}{name}.", field)
        yield from _fields(f"{prefix}{name}[].", field.get("items", {}))


def _errors() -> str:
    kinds = [constant for constant in constants(PACKAGE / "errors.py") if constant.owner == "ErrorCode"]
    cells = [
        (name, str(STATUS[ErrorCode(kind.value)]), text) for kind, (name, text) in zip(kinds, rows(kinds), strict=True)
    ]
    return section(3, "Error codes", ERRORS, table(("code", "status", "meaning"), cells))
