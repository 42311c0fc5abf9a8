"""Server-sent events of one session: its view at once, at every change, and for the last time when it is over."""

import json
from typing import Final

from aiohttp import web

from voicesession_gateway import metrics
from voicesession_gateway.session_record import Record, View, gone_view, view
from voicesession_gateway.session_store import Sessions, changed

HEARTBEAT_SECONDS: Final = 15.0
RETRY_MILLISECONDS: Final = 2000
HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


async def follow(
    request: web.Request, record: Record, sessions: Sessions, headers: dict[str, str]
) -> web.StreamResponse:
    """Until the session is over, the client leaves or the server stops.

    A browser asks again when a stream ends: one that has had the last event is told to stop by 204.
    """
    if record.finished and request.headers.get("Last-Event-ID") == str(record.version):
        return web.Response(status=204)
    response = web.StreamResponse(headers=HEADERS | headers)
    await response.prepare(request)
    await response.write(f"retry: {RETRY_MILLISECONDS}\n\n".encode())
    with metrics.STREAMS.track_inprogress():
        try:
            await _tell(request, response, record, sessions)
        except ConnectionError:
            return response
    return response


async def _tell(request: web.Request, response: web.StreamResponse, record: Record, sessions: Sessions) -> None:
    last, told = record, None
    with sessions.changes(record.name) as event:
        while not request.app[CLOSING].is_set:
            latest = sessions.get(record.name)
            if latest is None or latest.uid != record.uid:
                if last.finished is None:
                    await response.write(_event(gone_view(last), last.version))
                return
            last, shown = latest, view(latest)
            if shown != told:
                await response.write(_event(shown, latest.version))
                told = shown
            if latest.finished:
                return
            if not await changed(event, HEARTBEAT_SECONDS):
                await response.write(b": still there\n\n")


def _event(shown: View, version: int) -> bytes:
    return f"event: session\nid: {version}\ndata: {json.dumps(shown, separators=(',', ':'))}\n\n".encode()


class Closing:
    """Set when the server is to stop: streams then end by themselves."""

    def __init__(self) -> None:
        self.is_set = False


CLOSING: Final = web.AppKey("closing", Closing)
