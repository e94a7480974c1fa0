"""The estimate: the documented formula, or the reason why there is none."""

from decimal import Decimal
from typing import Any

import pytest

from ingestion.errors import SnowflakeError
from ingestion.load.snowflake_cost import CREDITS_PER_HOUR, Bill, Cost, NoCost, estimate
from ingestion.load.snowflake_session import Session
from ingestion.load.snowflake_warehouse import open_warehouse
from tests.ingestion.load.account import QUOTES, Account, Buckets, PatientClock
from tests.ingestion.load.objects import line

NAME = "STOCKS_MDS_LOADER_WH"


def shown(**more: Any) -> dict[str, Any]:
    return {"name": NAME, "size": "X-Small", "auto_suspend": 60} | more


def told(shown: dict[str, Any], seconds: float, price: str | None = None) -> Cost:
    found = estimate(Bill(NAME, Decimal(price) if price else None), [shown], seconds)
    assert isinstance(found, Cost)
    return found


def test_an_hour_of_each_size_costs_its_rate() -> None:
    hours = {size: told(shown(size=size), 3540).credits for size in CREDITS_PER_HOUR}

    assert hours == CREDITS_PER_HOUR
    rates = list(CREDITS_PER_HOUR.values())
    assert rates == [2**n for n in range(10)]


@pytest.mark.parametrize(
    ("seconds", "idle", "billed"), [(0, 1, 60), (59, 1, 60), (60, 1, 61), (12.5, 60, 72.5)]
)
def test_a_minute_is_billed_at_least_and_the_time_until_it_sleeps(
    seconds: float, idle: int, billed: float
) -> None:
    found = told(shown(auto_suspend=idle), seconds)

    assert found.billed_s == billed
    assert found.credits == billed / 3600


def test_a_price_is_told_where_one_is_given() -> None:
    without, with_one = told(shown(), 300), told(shown(), 300, "3.00")

    assert without.report()["credits"] == with_one.report()["credits"] == 0.1
    assert without.report()["price"] is None and with_one.report()["price"] == 0.3
    assert without.line(1234, 56789) == (
        "estimate: 0.100 credits for 1,234 files, 56,789 bytes: STOCKS_MDS_LOADER_WH (X-Small) at "
        "work for 300 s, asleep after 60 s"
    )
    assert with_one.line(1, 2).startswith("estimate: 0.100 credits (0.300) for 1 files")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "shows no warehouse STOCKS_MDS_LOADER_WH"),
        # `_` is a wildcard of LIKE.
        ([shown(name="STOCKS_MDS_LOADERXWH")], "shows no warehouse STOCKS_MDS_LOADER_WH"),
        ([shown(size="Adaptive")], "of size Adaptive"),
        ([shown(auto_suspend=None)], "never suspends itself"),
        ([shown(auto_suspend=0)], "never suspends itself"),
    ],
)
def test_where_it_cannot_be_told_the_reason_is(rows: list[dict[str, Any]], reason: str) -> None:
    found = estimate(Bill(NAME), rows, 10)

    assert isinstance(found, NoCost)
    assert reason in found.line(1, 2) and found.report()["credits"] is None


def test_a_load_is_told_from_its_first_statement_on(account: Account, buckets: Buckets) -> None:
    source, bill = buckets.source("internal"), Bill(NAME)
    with open_warehouse(account.connect, source, PatientClock(), "t:load", bill) as warehouse:
        warehouse.load_lines(QUOTES, [buckets.put(0, [line(0)])])
        cost = warehouse.cost()

    assert isinstance(cost, Cost)
    assert (cost.warehouse, cost.size, cost.idle_s) == (NAME, "X-Small", 60)
    assert 0 < cost.seconds < 60


def test_a_load_is_done_whatever_becomes_of_its_estimate(
    account: Account, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = Session.show

    def refused(session: Session, statement: str) -> Any:
        if statement.startswith("show warehouses"):
            raise SnowflakeError(f"{statement}: insufficient privileges")
        return show(session, statement)

    monkeypatch.setattr(Session, "show", refused)
    source, bill = buckets.source("internal"), Bill(NAME)
    with open_warehouse(account.connect, source, PatientClock(), "t:load", bill) as warehouse:
        warehouse.load_lines(QUOTES, [buckets.put(0, [line(0)])])
        cost = warehouse.cost()

    assert isinstance(cost, NoCost)
    assert "insufficient privileges" in cost.reason
    assert account.query(f"select count(*) from {QUOTES}") == [(1,)]
