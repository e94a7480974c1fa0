"""How much room a budget has for polling."""

import pytest

from ingestion.produce.quotes import per_minute


@pytest.mark.parametrize(
    ("provider", "limits", "expected"),
    [
        ("finnhub", None, 60.0),  # not the 1,800 that 30 a second would be
        ("alphavantage", None, 25 / 1_440),
        ("finnhub", "10/second,60/minute,720/day", 0.5),
        ("finnhub", "2/second", 120.0),
    ],
)
def test_the_tightest_limit_says_how_often_polls_may_come(
    monkeypatch: pytest.MonkeyPatch, provider: str, limits: str | None, expected: float
) -> None:
    if limits is not None:
        monkeypatch.setenv(f"LIMITS_{provider.upper()}", limits)

    # A limit's own margin makes it a little less, and nothing more.
    assert 0.8 * expected < per_minute(provider) <= expected
