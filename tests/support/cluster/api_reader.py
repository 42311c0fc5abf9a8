"""Reads of the API server over one kept connection.

A poll with kubectl starts a process of 0.1 s of CPU time, which is missing in the programs under test.
"""

import json
from typing import Any
from urllib.parse import quote, urlencode

from kubernetes import config
from urllib3.exceptions import HTTPError

Json = dict[str, Any]

CORE = "/api/v1"
GROUPS = {
    "deployment": "/apis/apps/v1",
    "statefulset": "/apis/apps/v1",
    "lease": "/apis/coordination.k8s.io/v1",
    "endpointslice": "/apis/discovery.k8s.io/v1",
    "customresourcedefinition": "/apis/apiextensions.k8s.io/v1",
    "voiceagent": "/apis/voicesession.dev/v1alpha1",
    "voicepool": "/apis/voicesession.dev/v1alpha1",
    "voicesession": "/apis/voicesession.dev/v1alpha1",
}
"""Paths of the kinds outside the core group, by singular name."""
SHORT_NAMES = {"crd": "customresourcedefinition"}
READ_SECONDS = 30
RETRIES = 1
"""The API server may close a kept connection just when a read uses it, for example when it restarts."""
NOT_FOUND = 404
ERROR = 400


class ReadError(Exception):
    """The API server refused a read or did not answer; the message has its reason."""


class ApiReader:
    """Blocking reads with the credentials of one kubeconfig context; usable by several threads.

    Raise ReadError without such a context.
    """

    def __init__(self, context: str) -> None:
        try:
            client = config.new_client_from_config(context=context)  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            raise ReadError(f"no usable kubeconfig: {error}") from error
        self._host: str = client.configuration.host
        self._pool = client.rest_client.pool_manager

    def get(self, kind: str, name: str, namespace: str) -> Json | None:
        """Return the object, or None if it does not exist; raise ReadError."""
        return self._read(f"{collection(kind, namespace)}/{quote(name)}")

    def items(self, kind: str, namespace: str | None = None, **selectors: str) -> list[Json]:
        """Return the objects of one namespace or of all; `selectors` are query parameters. Raise ReadError."""
        path = collection(kind, namespace)
        found = self._read(f"{path}?{urlencode(selectors)}")
        if found is None:
            raise ReadError(f"{path}: not found")
        header = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
        return [{**header, **item} for item in found["items"]]

    def _read(self, path: str) -> Json | None:
        try:
            answer = self._pool.request("GET", self._host + path, timeout=READ_SECONDS, retries=RETRIES)
        except HTTPError as error:
            raise ReadError(f"{path}: {error}") from error
        if answer.status == NOT_FOUND:
            return None
        if answer.status >= ERROR:
            raise ReadError(f"{path}: {answer.status} {answer.data[:500].decode(errors='replace')}")
        found: Json = json.loads(answer.data)
        return found


def collection(kind: str, namespace: str | None = None) -> str:
    """Return the path of a kind's collection; `kind` is its singular or plural name."""
    singular = kind.removesuffix("s")
    singular = SHORT_NAMES.get(singular, singular)
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{GROUPS.get(singular, CORE)}{scope}/{singular}s"
