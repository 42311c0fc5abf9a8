"""The Kubernetes client against a local HTTP server: error classes, paging, status patches."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError, RetryableError, TerminalError
from voicesession_common.kube_client import PODS, SESSIONS, KubeClient

from tests.support import operator_objects
from tests.support.http_server import Handler, serving


@asynccontextmanager
async def kube_client(handler: Handler) -> AsyncIterator[KubeClient]:
    async with serving(handler) as server:
        client = KubeClient(Configuration(host=str(server.make_url("")).rstrip("/")))
        try:
            yield client
        finally:
            await client.close()


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "not found", NotFoundError),
        (409, "changed", ConflictError),
        (422, "invalid", TerminalError),
        (403, "forbidden: violates PodSecurity", TerminalError),
        (403, 'pods "x" is forbidden: exceeded quota: small', RetryableError),
        (409, 'Operation cannot be fulfilled on resourcequotas "small": the object has been modified', RetryableError),
        (429, "too many requests", RetryableError),
        (401, "token expired", RetryableError),
        (500, "internal error", RetryableError),
    ],
)
async def test_error_status_raises_matching_error_class(status: int, message: str, kind: type[ExternalError]) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "reason": "Reason", "message": message}, status=status)

    async with kube_client(answer) as client:
        with pytest.raises(kind) as caught:
            await client.get(PODS, "default", "x")
    assert caught.value.message == message


@pytest.mark.parametrize("status", [403, 404, 409, 422, 502])
async def test_error_without_status_body_raises_retryable_error(status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<html>A proxy's page</html>", status=status, content_type="text/html")

    async with kube_client(answer) as client:
        with pytest.raises(RetryableError):
            await client.get(PODS, "default", "x")


async def test_list_reads_all_pages() -> None:
    pages = {"": (["a", "b"], "next"), "next": (["c"], "")}

    async def answer(request: web.Request) -> web.Response:
        names, following = pages[request.query.get("continue", "")]
        items = [{"metadata": {"name": name}} for name in names]
        return web.json_response({"metadata": {"resourceVersion": "7", "continue": following}, "items": items})

    async with kube_client(answer) as client:
        items, version = await client.list(PODS, "", "a=b")
    assert [item["metadata"]["name"] for item in items] == ["a", "b", "c"]
    assert version == "7"


async def test_pages_are_read_when_needed() -> None:
    requested: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        requested.append(request.query.get("continue", ""))
        items = [{"metadata": {"name": "a"}}]
        return web.json_response(
            {"metadata": {"resourceVersion": "7", "continue": f"{len(requested)}"}, "items": items}
        )

    async with kube_client(answer) as client:
        pages = client.pages(PODS)
        assert (await anext(pages)).version == "7"
        assert requested == [""]
        await anext(pages)
        assert requested == ["", "1"]


async def test_patch_status_sends_resource_version_and_merge_patch() -> None:
    requests: list[tuple[str, str, str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append((request.method, request.path, request.content_type, await request.json()))
        return web.json_response(operator_objects.session())

    async with kube_client(answer) as client:
        await client.patch_status(SESSIONS, "default", "hello", "5", {"humans": 1})
    path = "/apis/voicesession.dev/v1alpha1/namespaces/default/voicesessions/hello/status"
    body = {"metadata": {"resourceVersion": "5"}, "status": {"humans": 1}}
    assert requests == [("PATCH", path, "application/merge-patch+json", body)]


async def test_unreachable_api_server_raises_retryable_error() -> None:
    client = KubeClient(Configuration(host="http://127.0.0.1:9"))
    with pytest.raises(RetryableError):
        await client.get(PODS, "default", "x")
    await client.close()


async def test_canceled_write_is_observed_as_canceled() -> None:
    arrived, observed = asyncio.Event(), list[BaseException | None]()

    async def answer(_: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        return web.Response()

    async with serving(answer) as server:
        url = str(server.make_url("")).rstrip("/")
        client = KubeClient(Configuration(host=url), lambda *request: observed.append(request[3]))
        patching = asyncio.create_task(client.patch(PODS, "default", "x", {}))
        await arrived.wait()
        patching.cancel()
        await asyncio.wait([patching])
        await client.close()
    assert [type(error) for error in observed] == [asyncio.CancelledError]


@pytest.mark.parametrize(
    "body", [b"<html>A proxy's page</html>", b"[" * 5000, b"[]", b"{}", b'{"metadata": []}', b'{"metadata": "x"}']
)
async def test_answer_of_another_program_raises_retryable_error(body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async with kube_client(answer) as client:
        for request in (client.get(PODS, "default", "x"), client.list(PODS), client.create(PODS, "default", {})):
            with pytest.raises(RetryableError, match="cannot be read"):
                await request


@pytest.mark.parametrize("items", [{"a": 1}, "x", ["x"], [{}], [{"metadata": None}]])
async def test_list_without_objects_raises_retryable_error(items: object) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": items})

    async with kube_client(answer) as client:
        with pytest.raises(RetryableError, match="cannot be read"):
            await client.list(PODS)


@pytest.mark.parametrize(
    "line", [b"<html>", b"[1]", b'{"type": "ADDED"}', b'{"type": "ADDED", "object": []}', b'{"object": {"code": "x"}}']
)
async def test_watch_line_without_an_object_raises_retryable_error(line: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=line + b"\n")

    async with kube_client(answer) as client:
        with pytest.raises(RetryableError):
            async for _ in client.watch(PODS, "default", "1"):
                pass
