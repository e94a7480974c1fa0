"""What providers' data costs: the product's own commands against local servers, in real time.

The servers run in this process, the command in one of its own; only that one's processor time
counts.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition
from msgspec import json as fast_json

from benchmarks.land import measure
from ingestion.contracts.topics import REALTIME
from ingestion.errors import TapehouseError
from ingestion.fakes.running import Running, running
from ingestion.fakes.script import Script
from ingestion.fakes.site import Options
from ingestion.settings import ROOT, KafkaSettings

SYMBOLS: Final = 500
RATE: Final = 5_000
YAHOO_SYMBOLS: Final = 100
# A quiet hour of a recorded session.
_SERVED_AT: Final = datetime(2013, 2, 28, 16, 0, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)
_READ_WAIT_S: Final = 10.0


@dataclass(frozen=True)
class Watched:
    """A command that has run: what it told, how long it took, what it used."""

    told: Mapping[str, Any]
    samples: Sequence[measure.Sample]
    begin: float
    end: float

    def run(self, records: int) -> measure.Run:
        """Return what sending so many records took, from the command's start to its end."""
        return measure.run_of(self.samples, records, self.begin, self.end)


def yahoo(home: Path) -> dict[str, Any]:
    """Fetch one year of daily bars, from the command's start to its end."""
    with running(Options(("yahoo",), keep_observations=False)) as servers:
        symbols = list(servers.house.market.series)[:YAHOO_SYMBOLS]
        watched = _watched(["yahoo", "--once", *_each(symbols)], servers.urls, home)
    name = f"{len(symbols)} symbols' year of bars, local Yahoo"
    run = watched.run(watched.told["delivered"])
    return _row(name, run)


def finnhub(seconds: float, home: Path) -> dict[str, Any]:
    """Watch trades for so long; its first third is everybody's beginning, and is left out."""
    script = Script(max_symbols=SYMBOLS)
    served = Options(
        ("finnhub",), script=script, served_at=_SERVED_AT, more_symbols=SYMBOLS,
        keep_observations=False,
    )  # fmt: skip
    ends = _ends()
    with running(served) as servers:
        symbols = list(servers.house.market.series)[:SYMBOLS]
        speed = _set_pace(servers, symbols)
        words = ["finnhub", "--kind", "trades", *_each(symbols)]
        key = {"FINNHUB_API_KEY": "benchmark"}
        watched = _watched(words, servers.urls | key, home, seconds)
    lags = _Lags.of(_trades_since(ends), speed).after(watched.begin + seconds / 3)
    run = measure.run_of(watched.samples, len(lags.at), lags.at[0], lags.at[-1])
    return _row(f"{len(symbols)} symbols' trades, local Finnhub", run) | {
        "lag_s_first_fifth": round(lags.median(0, 0.2), 3),
        "lag_s_last_fifth": round(lags.median(0.8, 1), 3),
        "gaps": watched.told["gaps"],
    }


def _row(name: str, run: measure.Run) -> dict[str, Any]:
    return {
        "row": name,
        "records": run.records,
        "seconds": round(run.seconds, 1),
        "records_per_s": round(run.rate),
        "cpu_us_per_record": round(run.cpu_us, 1),
        "cpu_share_of_a_core": round(run.cpu_s / run.seconds, 3),
        "peak_rss_mib": round(run.peak_rss / 2**20),
    }


def _each(symbols: Sequence[str]) -> list[str]:
    return [word for symbol in symbols for word in ("--symbol", symbol)]


def _set_pace(servers: Running, symbols: Sequence[str]) -> float:
    """Have the market run so fast that `RATE` trades come in a second; return how fast.

    It also has the servers draw the session's trades before anybody waits for them.
    """
    market, until = servers.house.market, _SERVED_AT + _HOUR
    traded = [market.trades(symbol, "finnhub", _SERVED_AT, until) for symbol in symbols]
    count: int = sum(part.stop - part.start for found in traded for _, part in found)
    speed = RATE * _HOUR.total_seconds() / count
    market.clock.set(_SERVED_AT, speed)
    return speed


def _watched(
    words: Sequence[str], environment: Mapping[str, str], home: Path, seconds: float | None = None
) -> Watched:
    """Run ``produce``, to its end or for so many seconds.

    Raises:
        TapehouseError: it failed.
    """
    report, log = home / f"{words[0]}.json", home / f"{words[0]}.log"
    line = [sys.executable, "-m", "ingestion", "produce", *words, "--report", str(report)]
    given = {name: value for name, value in environment.items() if name != "CONTROL_URL"}
    begin = time.time()
    with log.open("wb") as output:
        process = subprocess.Popen(
            line, cwd=ROOT, env=os.environ | given, stdout=output, stderr=output
        )
        is_over = (lambda: time.time() - begin > seconds) if seconds else (lambda: False)
        # Before it there was no process: nothing was used.
        samples = [measure.Sample(begin, 0.0, 0), *measure.watch([process], is_over)]
    measure.require_success(process, log)
    return Watched(json.loads(report.read_text()), samples, begin, time.time())


@dataclass(frozen=True)
class _Lags:
    """When each trade's frame was read (seconds since the epoch), and how late, beside the best."""

    at: list[float]
    lag_s: list[float]

    @classmethod
    def of(cls, trades: Sequence[Mapping[str, Any]], speed: float) -> "_Lags":
        moments = sorted(
            (_seconds(one["fetched_at"]), _seconds(one["event_time"])) for one in trades
        )
        if not moments:
            raise TapehouseError("expected trades in Kafka, found none")
        late = [at - event / speed for at, event in moments]
        least = min(late)
        return cls([at for at, _ in moments], [one - least for one in late])

    def after(self, moment: float) -> "_Lags":
        first = next((n for n, at in enumerate(self.at) if at >= moment), None)
        if first is None or first + 10 > len(self.at):
            raise TapehouseError(f"expected trades to the end, the last came at {self.at[-1]}")
        return _Lags(self.at[first:], self.lag_s[first:])

    def median(self, start: float, end: float) -> float:
        chosen = sorted(self.lag_s[int(start * len(self.lag_s)) : int(end * len(self.lag_s))])
        return chosen[len(chosen) // 2]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _ends() -> list[TopicPartition]:
    """Return the ends of the topic of trades: what is sent next begins there."""
    consumer = _consumer()
    try:
        partitions = consumer.list_topics(REALTIME, timeout=10).topics[REALTIME].partitions
        places = [TopicPartition(REALTIME, partition) for partition in partitions]
        for place in places:
            place.offset = consumer.get_watermark_offsets(place)[1]
        return places
    finally:
        consumer.close()


def _trades_since(places: Sequence[TopicPartition]) -> list[Mapping[str, Any]]:
    """Read what has come into the topic of trades since then."""
    consumer, found = _consumer(), list[Mapping[str, Any]]()
    try:
        left = sum(now.offset - then.offset for now, then in zip(_ends(), places, strict=True))
        consumer.assign(list(places))
        while len(found) < left:
            batch = consumer.consume(10_000, _READ_WAIT_S)
            if not batch:
                raise TapehouseError(f"expected {left} trades in Kafka, found {len(found)}")
            found += [fast_json.decode(record.value() or b"") for record in batch]
        return found
    finally:
        consumer.close()


def _consumer() -> Consumer:
    return Consumer({**KafkaSettings.load().client("auditor"), "group.id": "benchmark"})
