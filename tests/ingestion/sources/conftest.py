from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion import calendar
from ingestion.calendar import Calendar
from ingestion.sources import stocks_csv
from ingestion.sources.daily_bar import DailyBar, daily_bars
from ingestion.sources.selection import Selection
from tests.ingestion.sources.providers import Server, serving


@pytest.fixture(scope="session")
def nyse() -> Calendar:
    return calendar.get()


@pytest.fixture(scope="session")
def stocks() -> Path:
    return stocks_csv.packaged_file()


@pytest.fixture(scope="session")
def all_bars(nyse: Calendar, stocks: Path) -> list[DailyBar]:
    return list(daily_bars(stocks_csv.read(stocks), nyse, Selection()))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made
