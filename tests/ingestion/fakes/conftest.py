"""Servers for a test, and the providers' own clients pointed at them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from ingestion import calendar
from ingestion.fakes.running import Running, running
from ingestion.fakes.script import Script
from ingestion.fakes.site import Options

# Thursday, 28 February 2013, eleven o'clock in New York: a session is under way.
MORNING = datetime(2013, 2, 28, 16, 0, tzinfo=UTC)
# The same day, after the close.
EVENING = datetime(2013, 2, 28, 22, 0, tzinfo=UTC)

Serve = Callable[..., Running]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers as they stood at a moment of 2013, or today, where time stands still."""
    with ExitStack() as stack:

        def start(
            *faults: Any, served_at: datetime | None = EVENING, speed: float = 0.0, **script: Any
        ) -> Running:
            options = Options(
                served_at=served_at, speed=speed, script=Script(faults=faults, **script)
            )
            found = stack.enter_context(running(options))
            if served_at is None:
                clock = found.house.market.clock
                clock.set(before_the_session(clock.now()), speed)
            return found

        yield start


def before_the_session(moment: datetime) -> datetime:
    """Return an hour before the session that began on a moment's day; the moment where none did.

    So a test of today is the same at each hour: once the exchange is open, Yahoo has two rows of
    the day, and the earlier one becomes a dead letter.
    """
    exchange = calendar.get()
    session = exchange.session(moment.astimezone(exchange.zone).date())
    if session is None or moment < session.open_at:
        return moment
    return session.open_at - timedelta(hours=1)


@pytest.fixture
def served(serve: Serve) -> Running:
    return serve()


def get(running: Running, setting: str, path: str = "", **query: Any) -> httpx.Response:
    """Ask a provider as its adapter would."""
    return httpx.get(running.urls[setting] + path, params=query, timeout=10)


def chart(running: Running, symbol: str, **query: Any) -> Any:
    """Return the one result of a chart."""
    answer = get(running, "YAHOO_BASE_URL", f"/v8/finance/chart/{symbol}", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()["chart"]["result"][0]


def control(running: Running, name: str, **query: Any) -> Any:
    """Return what the servers' own endpoint says."""
    return get(running, "CONTROL_URL", f"/{name}", **query).json()
