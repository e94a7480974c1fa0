"""What the browser's badge asks for: ``/freshness``, a timeline as JSON."""

import threading
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import duckdb
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dashboards.web.freshness import Reads, Timeline, Told, timeline, told
from ingestion.calendar import Calendar
from ingestion.clock import Clock
from ingestion.errors import TapehouseError

# Every open page asks every five seconds; a new build is to be seen within ten.
_KEEP: Final = timedelta(seconds=1)
# Far shorter than a timeline reaches.
_RENEW: Final = timedelta(hours=1)


class OpensBuild(Protocol):
    """What gives a published build: `dbt_stocks.reader.GoldReader` is one."""

    def pinned(self) -> AbstractContextManager[Reads]: ...


class Freshness:
    """The timeline of the newest build, made once for all pages. Thread-safe."""

    def __init__(self, gold: OpensBuild, calendar: Calendar, clock: Clock) -> None:
        """Take where gold is read, the exchange, and the clock that live feeds are judged by."""
        self._gold = gold
        self._calendar = calendar
        self._clock = clock
        self._mutex = threading.Lock()
        self._line: Timeline | None = None
        self._made_at: datetime | None = None
        self._read_at: datetime | None = None

    def timeline(self) -> Timeline:
        """Return the timeline of now; gold that cannot be read is told in it."""
        with self._mutex:
            now = self._clock.now()
            if self._line is None or self._is_over(self._read_at, now, _KEEP):
                said, self._read_at = self._told(), now
                is_other = self._line is None or self._line.told != said
                if is_other or self._is_over(self._made_at, now, _RENEW):
                    self._line, self._made_at = timeline(now, self._calendar, said), now
            assert self._line is not None  # noqa: S101 - made above
            return self._line

    def facts(self) -> dict[str, Any]:
        """Return the timeline of now for the browser."""
        return self.timeline().facts(self._clock.now())

    def route(self) -> Route:
        """Return the route for the page's Starlette application."""
        return Route("/freshness", self._answer, methods=["GET"])

    def _answer(self, request: Request) -> JSONResponse:
        return JSONResponse(self.facts(), headers={"Cache-Control": "no-store"})

    def _told(self) -> Told:
        try:
            with self._gold.pinned() as build:
                return told(build)
        except (TapehouseError, duckdb.Error) as error:
            return Told(problem=f"Gold cannot be read: {str(error).partition(chr(10))[0]}")

    @staticmethod
    def _is_over(since: datetime | None, now: datetime, keep: timedelta) -> bool:
        # A clock that was set back makes what is kept old, too.
        return since is None or not timedelta() <= now - since < keep
