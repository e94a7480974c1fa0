"""Published answers of Yahoo, which we did not make, through the adapter."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ingestion.contracts.records import BarMessage, CorporateActionMessage
from ingestion.sources.fetcher import Unit
from ingestion.sources.provider import NoDataError, RateLimitedError
from ingestion.sources.yahoo.fetcher import YahooFetcher
from tests.ingestion.sources.providers import sample
from tests.ingestion.sources.yahoo.conftest import StandingClock
from tests.ingestion.sources.yahoo.local import LocalYahoo, Reply

CHART = sample("yahoo/chart-1d-split-dividend.json")
AUTUMN = Unit("bars", "AAPL", date(2020, 8, 31), date(2020, 11, 6), "1d")
MINUTES = Unit("bars", "AAPL", date(2025, 2, 3), date(2025, 2, 3), "1m")


def test_a_recorded_chart_is_its_bars_and_actions(fetcher: YahooFetcher, yahoo: LocalYahoo) -> None:
    yahoo.script = lambda symbol, query: Reply(CHART)
    made = fetcher.fetch(AUTUMN)

    [result] = json.loads(CHART, parse_float=str, parse_int=str)["chart"]["result"]
    [quote], [adjusted] = (result["indicators"][name] for name in ("quote", "adjclose"))
    bars = [one for one in made if isinstance(one, BarMessage)]
    assert len(bars) == len(result["timestamp"]) == 3
    for index, bar in enumerate(bars):
        found = [getattr(bar.data, name) for name in ("open", "high", "low", "close", "volume")]
        sent = [quote[name][index] for name in ("open", "high", "low", "close", "volume")]
        assert found == sent
        assert bar.data.adj_close == adjusted["adjclose"][index]
        stamp = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            seconds=int(result["timestamp"][index])
        )
        assert datetime.fromisoformat(bar.data.start) == stamp
        assert (bar.symbol, bar.data.currency, bar.simulated) == ("AAPL", "USD", False)

    actions = [one for one in made if isinstance(one, CorporateActionMessage)]
    assert len(made) == len(bars) + len(actions)
    assert [
        (one.data.type, one.data.ex_date, one.data.ratio, one.data.amount) for one in actions
    ] == [
        ("split", "2020-08-31", "4", None),
        ("dividend", "2020-11-06", None, "0.205"),
    ]


@pytest.mark.parametrize(
    ("name", "status", "unit", "error", "text"),
    [
        ("error-404.json", 404, AUTUMN, NoDataError, "No data found, symbol may be delisted"),
        ("error-422.json", 422, AUTUMN, NoDataError, "Only 7 days worth of 1m granularity"),
        ("error-429.txt", 429, AUTUMN, RateLimitedError, "too many requests"),
        ("chart-1m-empty.json", 200, MINUTES, NoDataError, "an answer without rows"),
    ],
)
def test_a_published_refusal_is_typed_and_its_body_kept(
    fetcher: YahooFetcher,
    yahoo: LocalYahoo,
    clock: StandingClock,
    name: str,
    status: int,
    unit: Unit,
    error: Any,
    text: str,
) -> None:
    body = sample(f"yahoo/{name}")
    yahoo.script = lambda symbol, query: Reply(body, status)
    clock.moment = datetime(2025, 2, 10, tzinfo=UTC)

    with pytest.raises(error, match=text) as found:
        fetcher.fetch(unit)
    assert found.value.body == body
