"""The metrics port: numbers for anybody who may reach it, and nothing else: a network policy can open it alone."""

from aiohttp import web

from voicesession_agent.telemetry import Metrics


def scraped(metrics: Metrics) -> web.Application:
    """GET /metrics in Prometheus' text format."""

    async def render(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.router.add_get("/metrics", render)
    return app
