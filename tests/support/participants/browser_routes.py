"""Playwright routes that answer a browser's requests in place of the gateway."""

import asyncio
from collections.abc import Awaitable, Callable

from playwright.async_api import Route

TOO_MANY = {"error": {"code": "RateLimited", "message": "too many requests of this caller"}}


async def unreachable(route: Route) -> None:
    """Abort the request, as if the server were unreachable."""
    await route.abort()


async def hang(_: Route) -> None:
    """Accept the request and never answer."""


async def rate_limited(route: Route) -> None:
    """Answer with the gateway's error for too many requests."""
    await route.fulfill(status=429, json=TOO_MANY)


def delayed(seconds: float) -> Callable[[Route], Awaitable[None]]:
    """Return a handler that passes each request on after these seconds."""

    async def delay(route: Route) -> None:
        await asyncio.sleep(seconds)
        await route.continue_()

    return delay
