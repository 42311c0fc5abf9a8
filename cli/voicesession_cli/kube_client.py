"""The API server as raw JSON, through the kubeconfig of the user: one object in, one out, or lines as they come."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

from kubernetes import client, config
from urllib3.exceptions import HTTPError

from voicesession_cli.errors import USAGE, BadRequestError, CommandError, ForbiddenError, GoneError, ObjectNotFoundError

AGENT_PODS: Final = "app.kubernetes.io/managed-by=voicesession-operator,app.kubernetes.io/component=agent-pod"


Json = dict[str, Any]

GROUP: Final = "/apis/voicesession.dev/v1alpha1"
SESSIONS, AGENTS = f"{GROUP}/voicesessions", f"{GROUP}/voiceagents"
PODS, EVENTS, SERVICES = "/api/v1/pods", "/api/v1/events", "/api/v1/services"
SECRETS, CONFIG_MAPS = "/api/v1/secrets", "/api/v1/configmaps"
DEPLOYMENTS, STATEFUL_SETS = "/apis/apps/v1/deployments", "/apis/apps/v1/statefulsets"
SESSION_UID: Final = "voicesession.dev/session-uid"
"""Label of an agent pod."""
LEASES: Final = "/apis/coordination.k8s.io/v1/leases"
REQUEST_SECONDS: Final = 10
STREAM_SECONDS: Final = 3600
MERGE_PATCH: Final = "application/merge-patch+json"
HTTP_ERROR, BAD_REQUEST, NOT_FOUND, GONE = 400, 400, 404, 410
FORBIDDEN: Final = (401, 403)


def path(collection: str, namespace: str = "", *rest: str) -> str:
    """`/api/v1/pods`, in one namespace if one is given, and what follows: a name, a subresource."""
    prefix, _, plural = collection.rpartition("/")
    scope = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return "/".join([f"{prefix}{scope}/{plural}", *(quote(part, safe="") for part in rest)])


class Api:
    """Every method blocks and raises CommandError with one clear line. `what` is how that line calls it."""

    def __init__(self, context: str | None = None) -> None:
        try:
            config.load_kube_config(context=context)  # type: ignore[no-untyped-call]
            contexts, current = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            raise CommandError(f"no usable kubeconfig: {error}", USAGE) from error
        chosen = next((c for c in contexts if c["name"] == context), current)
        self.context = context
        self.namespace: str = chosen["context"].get("namespace", "default")
        self._client = client.ApiClient()

    def session(self, name: str, namespace: str | None) -> tuple[str, str]:
        """How a session is called in a line for people, and its path; without a namespace in that of the context."""
        where = namespace or self.namespace
        return f"voicesession {where}/{name}", path(SESSIONS, where, name)

    def get(self, what: str, path: str, **query: str) -> Json:
        return self._json("read", what, self._answer("GET", "read", what, path, query))

    def find(self, what: str, path: str) -> Json | None:
        """The object, or None where there is none."""
        try:
            return self.get(what, path)
        except ObjectNotFoundError:
            return None

    def items(self, what: str, path: str, **query: str) -> list[Json]:
        found: list[Json] = self.get(what, path, **query).get("items") or []
        return found

    def merge(self, what: str, path: str, patch: Json) -> Json:
        """JSON merge patch."""
        return self._json("change", what, self._answer("PATCH", "change", what, path, {}, patch))

    def create(self, what: str, path: str, body: Json) -> Json:
        return self._json("create", what, self._answer("POST", "create", what, path, {}, body))

    def lines(self, what: str, path: str, **query: str) -> Iterator[str]:
        """Lines of an answer as they come, until the API server ends it."""
        answer = self._answer("GET", "read", what, path, query, seconds=STREAM_SECONDS)
        rest = b""
        try:
            for chunk in answer.response.stream(None):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
        except HTTPError as error:
            raise CommandError(f"the connection to the API server broke off while reading {what}") from error
        if rest:
            yield rest.decode(errors="replace")

    def _answer(
        self,
        method: str,
        verb: str,
        what: str,
        path: str,
        query: dict[str, str],
        body: Json | None = None,
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
            answer = self._client.call_api(*request, _request_timeout=(REQUEST_SECONDS, seconds))
            if answer.status >= HTTP_ERROR:
                raise _refusal(verb, what, answer.status, _message(answer.response.data))
        except HTTPError as error:
            host = self._client.configuration.host
            raise CommandError(f"cannot reach the Kubernetes API server at {host}") from error
        return answer

    def _json(self, verb: str, what: str, answer: Any) -> Json:
        try:
            found: Json = json.loads(answer.read())
        except (HTTPError, ValueError) as error:
            raise CommandError(f"cannot {verb} {what}: the answer makes no sense") from error
        return found


def _message(body: bytes) -> str:
    with suppress(ValueError, AttributeError):
        return str(json.loads(body).get("message", "")).splitlines()[0]
    return ""


def _refusal(verb: str, what: str, status: int, message: str) -> CommandError:
    if status == NOT_FOUND:
        return ObjectNotFoundError(f"{what} not found")
    if status in FORBIDDEN:
        return ForbiddenError(f"not allowed to {verb} {what}")
    if status == GONE:
        return GoneError(f"{what} has moved on")
    kind = BadRequestError if status == BAD_REQUEST else CommandError
    return kind(f"cannot {verb} {what}: {status} {message}".rstrip())


SELECTOR: Final = "app.kubernetes.io/component=operator"
PROGRAM: Final = "voicesession_operator"


def is_operator(pod_spec: dict[str, Any]) -> bool:
    """Many projects label an operator as one; this one runs our program."""
    return any(PROGRAM in (container.get("command") or ()) for container in pod_spec["containers"])
