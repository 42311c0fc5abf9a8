"""A client of the Kubernetes API: plain dicts, a timeout on every request, classified errors.

The official client provides configuration, credentials and transport. Its typed models are not used, because one
object that does not match them makes a whole list fail.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.errors import RetryableError, from_kubernetes

REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
"""A healthy API server answers these requests in milliseconds."""
WATCH_SECONDS: Final = 50
"""Duration of one watch request. A dead connection hides changes for at most this long."""
WATCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=WATCH_SECONDS + 10)
PAGE_SIZE: Final = 200
"""Objects per page of a list. Parsing one page blocks the event loop for at most about 0.05 s."""
FIRST_HTTP_ERROR: Final = 400
MERGE_PATCH: Final = "application/merge-patch+json"
JSON: Final = "application/json"
VERBS: Final = ("list", "get", "create", "update", "patch", "delete")
READ_VERBS: Final = ("list", "get")

RequestObserver = Callable[[str, str, float, BaseException | None], None]
"""Callback after every request: verb, plural name, seconds, exception; a CancelledError is an unknown outcome."""


def ignore_request(verb: str, plural: str, seconds: float, error: BaseException | None) -> None:
    """Ignore the request."""


@dataclass(frozen=True)
class Resource:
    """A resource type in the API server's URLs, e.g. `Resource("/api/v1", "pods")`."""

    prefix: str
    plural: str

    def path(self, namespace: str = "", *rest: str) -> str:
        """Return the URL path of the collection, or of an object with its name in `rest`."""
        scope = f"/namespaces/{namespace}" if namespace else ""
        return "/".join((f"{self.prefix}{scope}/{self.plural}", *rest))


NAMESPACES: Final = Resource("/api/v1", "namespaces")
ALL_NAMESPACES: Final = ""
"""Namespace argument of a list or a watch that includes the objects of every namespace."""
PODS: Final = Resource("/api/v1", "pods")
EVENTS: Final = Resource("/api/v1", "events")
LEASES: Final = Resource("/apis/coordination.k8s.io/v1", "leases")
SESSIONS: Final = Resource(f"/apis/{constants.GROUP}/{constants.VERSION}", constants.SESSIONS)
AGENTS: Final = Resource(f"/apis/{constants.GROUP}/{constants.VERSION}", constants.AGENTS)
POOLS: Final = Resource(f"/apis/{constants.GROUP}/{constants.VERSION}", constants.POOLS)


async def load_configuration(kubeconfig: str) -> Configuration:
    """Load the given kubeconfig, else the pod's service account, else the default kubeconfig."""
    configuration = Configuration()
    if kubeconfig:
        await load_kube_config(config_file=kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
        return configuration
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigException:
        await load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return configuration


@dataclass(frozen=True)
class Credentials:
    """Credentials as plain values for other clients; the repr shows no secret."""

    server: str
    ca_path: str | None
    verify: bool
    certificate_path: str | None
    private_key_path: str | None
    scheme: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


async def load_credentials(kubeconfig: str) -> Credentials:
    """Read the credentials again, because a service account token changes every hour."""
    configuration = await load_configuration(kubeconfig)
    header = await configuration.get_api_key_with_prefix("BearerToken") or ""
    scheme, _, token = header.rpartition(" ")
    return Credentials(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        verify=configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        scheme=scheme or None,
        token=token or None,
    )


@dataclass(frozen=True)
class ListPage:
    """Some objects of a list, and the resourceVersion of the whole list."""

    items: list[JsonObject]
    version: str


class KubernetesApi(Protocol):
    """The calls that programs make through `KubeClient`; tests implement the ones they need."""

    async def list(
        self, resource: Resource, namespace: str = "", selector: str = ""
    ) -> tuple[list[JsonObject], str]: ...
    def pages(self, resource: Resource, namespace: str = "", selector: str = "") -> AsyncIterator[ListPage]: ...
    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject: ...
    async def create(self, resource: Resource, namespace: str, body: JsonObject) -> JsonObject: ...
    async def replace(self, resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject: ...
    async def patch(self, resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject: ...
    async def patch_status(
        self, resource: Resource, namespace: str, name: str, version: str, status: JsonObject
    ) -> JsonObject: ...
    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str, version: str = ""
    ) -> JsonObject: ...


class KubeClient:
    """The verbs of the API. Methods raise RetryableError, ConflictError, NotFoundError or TerminalError."""

    def __init__(self, configuration: Configuration, observe_request: RequestObserver = ignore_request) -> None:
        self._api = ApiClient(configuration)
        self._observe_request = observe_request

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def list(self, resource: Resource, namespace: str = "", selector: str = "") -> tuple[list[JsonObject], str]:
        """Return all objects, and the resourceVersion of the list."""
        found, version = list[JsonObject](), "0"
        async for page in self.pages(resource, namespace, selector):
            found += page.items
            version = page.version
        return found, version

    async def pages(self, resource: Resource, namespace: str = "", selector: str = "") -> AsyncIterator[ListPage]:
        """Yield the list page by page, so that it is never in memory as a whole."""
        query = {"limit": str(PAGE_SIZE)} | ({"labelSelector": selector} if selector else {})
        while True:
            answer = await self._request("GET", "list", resource, resource.path(namespace), query=query)
            yield ListPage(_items(answer), answer["metadata"].get("resourceVersion", "0"))
            following = answer["metadata"].get("continue")
            if not following:
                return
            query["continue"] = following
            del answer
            await asyncio.sleep(0)

    async def watch(
        self, resource: Resource, namespace: str, version: str, selector: str = ""
    ) -> AsyncIterator[tuple[str, JsonObject]]:
        """Yield type and object of every change after `version`, including bookmarks, for up to WATCH_SECONDS."""
        query = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        query |= {"timeoutSeconds": str(WATCH_SECONDS)} | ({"labelSelector": selector} if selector else {})
        try:
            response = await self._open("GET", resource.path(namespace), None, query, WATCH_TIMEOUT)
            stream: aiohttp.ClientResponse = response.response
            async with stream:
                if stream.status >= FIRST_HTTP_ERROR:
                    raise from_kubernetes(stream.status, _parse(await stream.read()))
                async for line in stream.content:
                    yield _parse_watch_event(line)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError("KubernetesUnavailable", "the API server does not answer") from error

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
        """Return one object."""
        return await self._request("GET", "get", resource, resource.path(namespace, name))

    async def create(self, resource: Resource, namespace: str, body: JsonObject) -> JsonObject:
        """Create an object and return it as stored."""
        return await self._request("POST", "create", resource, resource.path(namespace), body)

    async def replace(self, resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject:
        """Replace an object; the resourceVersion in `body` prevents lost updates."""
        return await self._request("PUT", "update", resource, resource.path(namespace, name), body)

    async def patch(self, resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject:
        """Apply a JSON merge patch."""
        return await self._request("PATCH", "patch", resource, resource.path(namespace, name), body)

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, version: str, status: JsonObject
    ) -> JsonObject:
        """Merge `status` into the object at resourceVersion `version`; raise ConflictError if it has changed."""
        body = {"metadata": {"resourceVersion": version}, "status": status}
        return await self._request("PATCH", "patch", resource, resource.path(namespace, name, "status"), body)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, version: str = "") -> JsonObject:
        """Delete the object with this UID; raise ConflictError if the name belongs to another object now.

        A `version` (resourceVersion) also raises ConflictError if the object has changed since.
        """
        conditions = {"uid": uid} | ({"resourceVersion": version} if version else {})
        body: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions}
        return await self._request("DELETE", "delete", resource, resource.path(namespace, name), body)

    async def _request(
        self,
        method: str,
        verb: str,
        resource: Resource,
        path: str,
        body: JsonObject | None = None,
        query: dict[str, str] | None = None,
    ) -> JsonObject:
        started = time.monotonic()
        failure: BaseException | None = None
        try:
            return await self._send(method, path, body, query or {})
        except BaseException as error:
            failure = error
            raise
        finally:
            self._observe_request(verb, resource.plural, time.monotonic() - started, failure)

    async def _send(self, method: str, path: str, body: JsonObject | None, query: dict[str, str]) -> JsonObject:
        try:
            response = await self._open(method, path, body, query, REQUEST_TIMEOUT)
            text = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError("KubernetesUnavailable", "the API server does not answer") from error
        answer = _parse(text)
        if response.status >= FIRST_HTTP_ERROR:
            raise from_kubernetes(response.status, answer)
        if not isinstance(answer.get("metadata"), dict):
            # Every object, list and Status has metadata.
            raise _garbled()
        return answer

    async def _open(
        self, method: str, path: str, body: JsonObject | None, query: dict[str, str], limit: aiohttp.ClientTimeout
    ) -> Any:
        """Return the official client's response, with its body unread."""
        headers = {"Accept": JSON, "Content-Type": MERGE_PATCH if method == "PATCH" else JSON}
        request = await self._api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        return await self._api.call_api(*request, _request_timeout=limit)


def _items(page: JsonObject) -> list[JsonObject]:
    """Return the objects of one page. Raise RetryableError if it is no list of objects."""
    items = page.get("items") or []
    if not isinstance(items, list) or not all(_is_object(item) for item in items):
        raise _garbled()
    return items


def _garbled() -> RetryableError:
    """Return the error for an answer that is not the API server's, for example the page of a proxy with status 200."""
    return RetryableError("KubernetesUnavailable", "the API server's answer cannot be read")


def _is_object(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("metadata"), dict)


def _parse_watch_event(line: bytes) -> tuple[str, JsonObject]:
    """Parse one line of a watch. Raise the error that an ERROR event carries, for example 410 Gone."""
    event = _parse(line)
    kind, found = event.get("type", "ERROR"), event.get("object")
    if not isinstance(found, dict) or (kind != "ERROR" and not _is_object(found)):
        raise _garbled()
    if kind == "ERROR":
        code = found.get("code")
        raise from_kubernetes(code if isinstance(code, int) else 0, found)
    return kind, found


def _parse(text: bytes) -> JsonObject:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
