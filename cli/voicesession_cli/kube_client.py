"""A small Kubernetes client on raw JSON, with the kubeconfig of the user."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

from kubernetes import client, config
from urllib3.exceptions import HTTPError
from voicesession_common import JsonObject
from voicesession_common.api.constants import AGENT_POD_COMPONENT, COMPONENT_LABEL, GROUP, POD_SELECTOR, VERSION

from voicesession_cli.errors import (
    EXIT_USAGE,
    BadRequestError,
    CommandError,
    ForbiddenError,
    GoneError,
    ObjectNotFoundError,
)

API_GROUP: Final = f"/apis/{GROUP}/{VERSION}"
SESSIONS, AGENTS = f"{API_GROUP}/voicesessions", f"{API_GROUP}/voiceagents"
PODS, EVENTS, SERVICES = "/api/v1/pods", "/api/v1/events", "/api/v1/services"
SECRETS, CONFIG_MAPS = "/api/v1/secrets", "/api/v1/configmaps"
DEPLOYMENTS, STATEFUL_SETS = "/apis/apps/v1/deployments", "/apis/apps/v1/statefulsets"
LEASES: Final = "/apis/coordination.k8s.io/v1/leases"
AGENT_PODS: Final = f"{POD_SELECTOR},{COMPONENT_LABEL}={AGENT_POD_COMPONENT}"
OPERATOR_SELECTOR: Final = f"{COMPONENT_LABEL}=operator"
OPERATOR_MODULE: Final = "voicesession_operator"
REQUEST_SECONDS: Final = 10
STREAM_SECONDS: Final = 3600
MERGE_PATCH: Final = "application/merge-patch+json"
HTTP_ERROR, BAD_REQUEST, NOT_FOUND, GONE = 400, 400, 404, 410
FORBIDDEN: Final = (401, 403)


def path(collection: str, namespace: str = "", *rest: str) -> str:
    """Return a collection's path, such as `/api/v1/pods`, with its namespace, an object's name and a subresource."""
    prefix, _, plural = collection.rpartition("/")
    scope = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return "/".join([f"{prefix}{scope}/{plural}", *(quote(part, safe="") for part in rest)])


class KubeApi:
    """Blocking requests to the API server; `label` names the object in the one line of a CommandError."""

    def __init__(self, context: str | None = None) -> None:
        try:
            config.load_kube_config(context=context)  # type: ignore[no-untyped-call]
            contexts, current = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            raise CommandError(f"no usable kubeconfig: {error}", EXIT_USAGE) from error
        chosen = next((c for c in contexts if c["name"] == context), current)
        self.context = context
        self.namespace: str = chosen["context"].get("namespace", "default")
        self._client = client.ApiClient()

    def session(self, name: str, namespace: str | None) -> tuple[str, str]:
        """Return the label and the path of a session; without a namespace the context's namespace applies."""
        namespace = namespace or self.namespace
        return f"voicesession {namespace}/{name}", path(SESSIONS, namespace, name)

    def get(self, label: str, path: str, **query: str) -> JsonObject:
        """Return one object or one list."""
        return self._json("read", label, self._request("GET", "read", label, path, query))

    def find(self, label: str, path: str) -> JsonObject | None:
        """Return the object, or None if it does not exist."""
        try:
            return self.get(label, path)
        except ObjectNotFoundError:
            return None

    def items(self, label: str, path: str, **query: str) -> list[JsonObject]:
        """Return the objects of a collection."""
        items: list[JsonObject] = self.get(label, path, **query).get("items") or []
        return items

    def merge(self, label: str, path: str, patch: JsonObject) -> JsonObject:
        """Apply a JSON merge patch and return the object."""
        return self._json("change", label, self._request("PATCH", "change", label, path, {}, patch))

    def create(self, label: str, path: str, body: JsonObject) -> JsonObject:
        """Create an object and return it."""
        return self._json("create", label, self._request("POST", "create", label, path, {}, body))

    def lines(self, label: str, path: str, **query: str) -> Iterator[str]:
        """Yield the lines of a streamed response until the API server ends it."""
        response = self._request("GET", "read", label, path, query, seconds=STREAM_SECONDS)
        rest = b""
        try:
            for chunk in response.response.stream(None):
                *complete, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in complete)
        except HTTPError as error:
            raise CommandError(f"the connection to the API server broke off while reading {label}") from error
        if rest:
            yield rest.decode(errors="replace")

    def _request(
        self,
        method: str,
        verb: str,
        label: str,
        path: str,
        query: dict[str, str],
        body: JsonObject | None = None,
        seconds: float = REQUEST_SECONDS,
    ) -> Any:
        headers = {
            "Accept": "application/json",
            "Content-Type": MERGE_PATCH if method == "PATCH" else "application/json",
        }
        request = self._client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._client.call_api(*request, _request_timeout=(REQUEST_SECONDS, seconds))
            if response.status >= HTTP_ERROR:
                raise _request_error(verb, label, response.status, _message(response.response.data))
        except HTTPError as error:
            host = self._client.configuration.host
            raise CommandError(f"cannot reach the Kubernetes API server at {host}") from error
        return response

    def _json(self, verb: str, label: str, response: Any) -> JsonObject:
        try:
            body: JsonObject = json.loads(response.read())
        except (HTTPError, ValueError) as error:
            raise CommandError(f"cannot {verb} {label}: the response is not valid JSON") from error
        return body


def _message(body: bytes) -> str:
    with suppress(ValueError, AttributeError):
        return str(json.loads(body).get("message", "")).splitlines()[0]
    return ""


def _request_error(verb: str, label: str, status: int, message: str) -> CommandError:
    if status == NOT_FOUND:
        return ObjectNotFoundError(f"{label} not found")
    if status in FORBIDDEN:
        return ForbiddenError(f"not allowed to {verb} {label}")
    if status == GONE:
        return GoneError(f"the watched version of {label} has expired")
    error = BadRequestError if status == BAD_REQUEST else CommandError
    return error(f"cannot {verb} {label}: {status} {message}".rstrip())


def is_operator(pod_spec: JsonObject) -> bool:
    """Return whether a pod runs this project's operator; other projects use the same component label."""
    return any(OPERATOR_MODULE in (container.get("command") or ()) for container in pod_spec["containers"])
