"""Server-sent events of one session: its JSON at the start, at every change, and a last time at its end."""

import json
from typing import Final

from aiohttp import web
from voicesession_common import JsonObject

from voicesession_gateway import metrics
from voicesession_gateway.session_record import SessionRecord, deleted_to_json, to_json
from voicesession_gateway.session_store import SessionStore, wait_for_change

HEARTBEAT_SECONDS: Final = 15.0
"""Seconds without a change until a comment is sent; nginx closes a silent connection after 60 s by default."""
RETRY_MILLISECONDS: Final = 2000
HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would buffer the events
}


async def stream_events(
    request: web.Request,
    record: SessionRecord,
    sessions: SessionStore,
    headers: dict[str, str],
    heartbeat_seconds: float,
) -> web.StreamResponse:
    """Stream until the session ends, the client disconnects or the server stops.

    A comment is sent after every `heartbeat_seconds` without a change.
    A browser reconnects when a stream ends. A 204 stops a browser that has received the last event.
    """
    if record.finished and request.headers.get("Last-Event-ID") == str(record.version):
        return web.Response(status=204)
    response = web.StreamResponse(headers=HEADERS | headers)
    await response.prepare(request)
    await response.write(f"retry: {RETRY_MILLISECONDS}\n\n".encode())
    with metrics.STREAMS.track_inprogress():
        try:
            await _write_events(request, response, record, sessions, heartbeat_seconds)
        except ConnectionError:
            return response
    return response


async def _write_events(
    request: web.Request,
    response: web.StreamResponse,
    record: SessionRecord,
    sessions: SessionStore,
    heartbeat_seconds: float,
) -> None:
    last, sent = record, None
    with sessions.changes(record.name) as event:
        while not request.app[CLOSING].is_set:
            latest = sessions.get(record.name)
            if latest is None or latest.uid != record.uid:
                if last.finished is None:
                    await response.write(_event(deleted_to_json(last), last.version))
                return
            last, current = latest, to_json(latest)
            if current != sent:
                await response.write(_event(current, latest.version))
                sent = current
            if latest.finished:
                return
            if not await wait_for_change(event, heartbeat_seconds):
                await response.write(b": heartbeat\n\n")


def _event(document: JsonObject, version: int) -> bytes:
    return f"event: session\nid: {version}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n".encode()


class Closing:
    """Flag of a server that shuts down; open streams then end."""

    def __init__(self) -> None:
        self.is_set = False


CLOSING: Final = web.AppKey("closing", Closing)
