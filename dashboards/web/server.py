"""One server for the page, the badge's timeline and the live feed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.web import feed as live
from dashboards.web.app import create_app
from dashboards.web.callbacks import ReadsHealth
from dashboards.web.exchange import clock_of
from dashboards.web.feed import Feed
from dashboards.web.freshness_route import Freshness
from dashboards.web.gold import Gold
from ingestion.calendar import Calendar
from ingestion.clock import Clock
from ingestion.errors import TapehouseError

# Callbacks read gold in threads; two cores are busy with eight.
_THREADS: Final = 8
# Nothing of another host is asked for, and a browser is told to refuse it. Dash starts itself by a
# script in the page, and styles its elements.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class _Guarded:
    """Adds the headers that keep the page to itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, guarded if scope["type"] == "http" else send)


def create_server(
    gold: Gold, health: ReadsHealth, feed: Feed, calendar: Calendar, clock: Clock
) -> ASGIApp:
    """Return the whole as one ASGI application; its lifespan starts and stops the feed."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        feed.start()
        try:
            yield
        finally:
            feed.stop()

    def healthz(_request: Request) -> JSONResponse:
        """Say which build is read; 503 without one."""
        try:
            with gold.pinned() as build:
                found: dict[str, Any] = {"build_id": build.build_id(), "live": feed.status.state}
        except TapehouseError as error:
            return JSONResponse({"problem": str(error)}, status_code=503)
        return JSONResponse(found)

    dash = create_app(gold, health, clock_of(calendar), clock)
    routes = [
        Route("/healthz", healthz, methods=["GET"]),
        Freshness(gold, calendar, clock).route(),
        *live.routes(feed),
        Mount("/", cast(ASGIApp, WSGIMiddleware(dash.server, workers=_THREADS))),
    ]
    return _Guarded(Starlette(routes=routes, lifespan=lifespan))
