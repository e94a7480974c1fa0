"""The benchmark of the providers' commands, small: real commands and servers, the mock broker."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.land.measure import Sample
from benchmarks.produce import providers
from benchmarks.produce.providers import Watched
from ingestion.contracts.topics import BATCH, DEAD_LETTERS, REALTIME
from ingestion.errors import TapehouseError
from tests.ingestion.produce.conftest import MockKafka, kafka, mock_environment

__all__ = ["kafka", "mock_environment"]  # fixtures

START = 1_700_000_000.0
SPEED = 10.0


@pytest.fixture
def settings(
    mock_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_settings = {"TAPEHOUSE_ENV_FILE": str(tmp_path / "no-settings")}
    state = {"TAPEHOUSE_STATE_DIR": str(tmp_path / "state")}
    for name, value in {**mock_environment, **no_settings, **state}.items():
        monkeypatch.setenv(name, value)


def text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def trades(lags: list[float]) -> list[dict[str, str]]:
    """A trade a second of real time, read so much later than it should have been."""
    return [
        {"fetched_at": text(START + n + lag), "event_time": text(START + n * SPEED)}
        for n, lag in enumerate(lags)
    ]


def test_lags_are_beside_the_best_and_in_the_order_of_reading() -> None:
    lags = providers._Lags.of([*reversed(trades([0.5] * 50 + [2.5] * 50))], SPEED)

    assert lags.at == sorted(lags.at)
    assert lags.median(0, 0.2) == pytest.approx(0.0, abs=1e-5)
    assert lags.median(0.8, 1) == pytest.approx(2.0, abs=1e-5)
    assert lags.after(START + 60).median(0, 1) == pytest.approx(2.0, abs=1e-5)


def test_trades_that_did_not_come_to_the_end_are_no_measurement() -> None:
    with pytest.raises(TapehouseError, match="expected trades in Kafka, found none"):
        providers._Lags.of([], SPEED)
    lags = providers._Lags.of(trades([0.0] * 50), SPEED)
    with pytest.raises(TapehouseError, match="expected trades to the end"):
        lags.after(START + 45)


def test_a_command_is_measured_from_its_start() -> None:
    samples = [Sample(10.0, 0.0, 0), Sample(11.0, 0.5, 2**20), Sample(14.0, 2.0, 2**21)]

    row = providers._row("it", Watched({}, samples, begin=10.0, end=14.0).run(1_000))

    assert (row["seconds"], row["records_per_s"], row["cpu_us_per_record"]) == (4.0, 250, 2_000.0)
    assert (row["cpu_share_of_a_core"], row["peak_rss_mib"]) == (0.5, 2)


def test_bars_are_fetched_and_timed(
    settings: None, kafka: MockKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "YAHOO_SYMBOLS", 3)

    row = providers.yahoo(tmp_path)

    # While the exchange is open Yahoo has two rows of its day: the earlier one is a dead letter.
    sent = {topic: len(kafka.all(topic)) for topic in (BATCH, DEAD_LETTERS)}
    assert row["records"] == sum(sent.values())
    assert sent[BATCH] > 3 * 240
    assert row["cpu_us_per_record"] > 0


@pytest.mark.long
def test_trades_are_watched_and_timed(
    settings: None, kafka: MockKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "SYMBOLS", 3)
    monkeypatch.setattr(providers, "RATE", 50)

    row: dict[str, Any] = providers.finnhub(8, tmp_path)

    assert 10 <= row["records"] < len(kafka.all(REALTIME))
    assert row["gaps"] == 0
    assert row["lag_s_last_fifth"] < 5


def test_a_command_that_fails_is_told(settings: None, tmp_path: Path) -> None:
    with pytest.raises(TapehouseError, match="FINNHUB_API_KEY is not set"):
        providers._watched(["finnhub"], {}, tmp_path)
