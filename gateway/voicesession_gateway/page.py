"""The web page: static files, and their configuration for this gateway."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from voicesession_gateway.errors import ApiError, ErrorCode

NO_PAGE: Final = "this gateway was built without a page; its API is at /api/v1/openapi.json"
INDEX: Final = "index.html"
WEBSOCKET_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
HTTP_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def content_security_policy(livekit_url: str) -> str:
    """Return the page's Content-Security-Policy: its own files, this gateway and LiveKit, nothing else."""
    parts = urlsplit(livekit_url)
    schemes = (WEBSOCKET_SCHEMES[parts.scheme], HTTP_SCHEMES[parts.scheme])
    livekit = " ".join(f"{scheme}://{parts.netloc}" for scheme in schemes)
    return (
        f"default-src 'self'; connect-src 'self' {livekit}; img-src 'self' data:; media-src 'self' blob: mediastream:; "
        "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


class Page:
    """Handlers of the page. Without `directory` there is no page; the API works all the same."""

    def __init__(self, directory: str, livekit_url: str, auth: str, default_agent: str, ready_seconds: float) -> None:
        self._directory = Path(directory) if directory else None
        self._config = {
            "tokenEndpoint": "/token",
            "agentsEndpoint": "/api/v1/agents",
            "sessionsEndpoint": "/api/v1/sessions",
            "auth": auth,
            "defaultAgent": default_agent,
            "readySeconds": ready_seconds,
        }
        self._headers = {
            "Content-Security-Policy": content_security_policy(livekit_url),
            "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",
        }

    def add_to(self, app: web.Application) -> None:
        """Add the routes. They must come last, because they match every remaining path."""
        app.router.add_get("/config.json", self._configuration)
        app.router.add_get("/", self._index)
        if self._directory and self._directory.is_dir():
            app.router.add_static("/", self._directory)
        app.on_response_prepare.append(self._set_security_headers)

    async def _configuration(self, _: web.Request) -> web.Response:
        return web.json_response(self._config)

    async def _index(self, _: web.Request) -> web.StreamResponse:
        path = self._directory / INDEX if self._directory else None
        if path is None or not path.is_file():
            raise ApiError(ErrorCode.NOT_FOUND, NO_PAGE)
        return web.FileResponse(path)

    async def _set_security_headers(self, _: web.Request, response: web.StreamResponse) -> None:
        for name, value in self._headers.items():
            response.headers.setdefault(name, value)
