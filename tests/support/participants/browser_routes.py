"""What a browser's requests can meet instead of the gateway."""

from playwright.async_api import Route

TOO_MANY = {"error": {"code": "RateLimited", "message": "too many requests of this caller"}}


async def nobody(route: Route) -> None:
    """Nobody can be reached."""
    await route.abort()


async def silence(_: Route) -> None:
    """Somebody takes the request, and never answers."""


async def a_limit(route: Route) -> None:
    """The gateway refuses, for now."""
    await route.fulfill(status=429, json=TOO_MANY)
