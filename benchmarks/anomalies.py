"""How many injected faults the anomaly rules find, and how much of what they find was injected.

A generated market's trades go through the lake's own code with faults of known truth: prices in
another unit, corrections, trades that come late, splits that nobody tells; and, planted here, five
minutes of a multiple of their volume.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
import zstandard
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from rich.console import Console

from benchmarks import stack
from benchmarks.land import report
from ingestion import calendar
from ingestion.calendar import Session
from ingestion.cli import write_report
from ingestion.clock import rfc3339
from ingestion.contracts import envelope
from ingestion.contracts.identity import observation_id
from ingestion.contracts.records import (
    CorporateActionData,
    CorporateActionMessage,
    Message,
    TradeMessage,
)
from ingestion.contracts.topics import BATCH, REALTIME
from ingestion.errors import TapehouseError
from ingestion.settings import LakeSettings, ProjectSettings, StoreSettings
from ingestion.sources.daily_bar import CENT, UNIT, DailyBar
from ingestion.sources.faults import truth
from ingestion.sources.faults.faulty import Faulty
from ingestion.sources.faults.kinds import chance
from ingestion.sources.faults.truth import Fault, Truth
from ingestion.sources.market import Market, made_up
from ingestion.sources.simulator import NAME, Simulator, SimulatorSettings, bar_message
from ingestion.sources.source import Refused
from pipeline.screen import Screen
from spark_jobs import session
from spark_jobs.context import sessions_of
from spark_jobs.model import MODEL
from spark_jobs.schemas import BARS, CORPORATE_ACTIONS, TRADES, Table
from spark_jobs.transforms import anomalies as rules
from spark_jobs.transforms import conform, dedupe, parse
from spark_jobs.transforms.effective import effective

RATES: Final[Mapping[str, float]] = {
    "price_100x": 0.0005,
    "correct": 0.002,
    "bust": 0.001,
    "late": 0.001,
    "out_of_order": 0.01,
    "missing_minute": 0.005,
    "missed_split": 0.7,
}
_END: Final = date(2024, 12, 31)
_RATIO: Final = 4
_FRACTION: Final = Decimal("0.2")
_TIMES: Final = 40
_RUN: Final = "anomalies"

Subjects = dict[str, set[tuple[str, str]]]
"""(symbol, subject) by rule."""
Flagged = tuple[str, str, str]
"""Rule, symbol, subject."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Truths:
    """What has to be flagged, and what may be flagged beside it."""

    wanted: Subjects
    allowed: Subjects


@app.command()
def main(
    symbols: Annotated[int, typer.Option(min=1, help="Generated symbols.")] = 10,
    sessions: Annotated[int, typer.Option(min=2, help="Sessions, the last of 2024.")] = 4,
    seed: Annotated[int, typer.Option(help="Of market, trades and faults.")] = 7,
) -> None:
    """Inject faults, flag anomalies, and print precision and recall of each rule."""
    try:
        with tempfile.TemporaryDirectory(prefix="tapehouse-anomalies-") as folder:
            trades, found = measure(Path(folder), symbols, sessions, seed)
    except TapehouseError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    console = Console(width=None if sys.stdout.isatty() else 120)
    Screen(console, 0).table(f"anomalies among {trades:,} trades", found)
    facts = {"symbols": symbols, "sessions": sessions, "seed": seed, "trades": trades}
    document = {"machine": stack.machine(), "commit": report.commit(), **facts, "rates": RATES}
    path = ProjectSettings.load().state("bench", "anomalies.json")
    write_report(path, {**document, "rows": found})
    console.print(f"figures: {path}", markup=False, highlight=False, soft_wrap=True)


def measure(
    folder: Path, symbols: int, sessions: int, seed: int
) -> tuple[int, list[dict[str, Any]]]:
    """Return how many trades were sent, and one row per rule; ``folder`` takes bronze and lake."""
    market = _Made(symbols, sessions, seed)
    path = folder / "truth.jsonl"
    faulty = Faulty(market, RATES, seed, calendar.get(), Truth(path))
    sent = [message for message in faulty.messages() if not isinstance(message, Refused)]
    trades = [message for message in sent if isinstance(message, TradeMessage)]
    others = [message for message in sent if not isinstance(message, TradeMessage)]
    others += [bar_message(bar, _RUN) for bar in market.bars]
    objects = [_landed(folder, REALTIME, trades), _landed(folder, BATCH, others)]
    plan = session.SessionPlan(
        ProjectSettings(state_dir=folder),
        StoreSettings(),
        LakeSettings(catalog_uri=f"sqlite:///{folder}/catalog.db"),
        warehouse=f"file://{folder}/warehouse",
    )
    with session.running(plan) as spark:
        flagged = _flagged(spark, [f"file://{item}" for item in objects])
    return len(trades), _judged(flagged, market.truths(truth.read(path)))


class _Made:
    """A generated market: trades, one split per symbol, one loud window per symbol and session."""

    name = NAME

    def __init__(self, symbols: int, sessions: int, seed: int) -> None:
        exchange = calendar.get()
        # One more: the first session that is traded has a close before it.
        self._before, *self._days = exchange.sessions(end=_END)[-sessions - 1 :]
        self._seed = seed
        made = Market(seed, made_up(symbols), exchange)
        bars = made.bars(self._before.session_date, _END)
        self.bars = [_split(bar) if self._is_split(bar) else bar for bar in bars]

    def messages(self) -> Iterator[Message]:
        """Make the splits and the trades of all sessions but the first."""
        yield from self._splits()
        settings = SimulatorSettings(
            seed=self._seed, volume_fraction=_FRACTION, quote_interval=None
        )
        for message in Simulator(self._traded(), settings, _RUN).messages():
            yield self._louder(message) if isinstance(message, TradeMessage) else message

    def facts(self) -> Mapping[str, object]:
        """Return nothing that is not known."""
        return {}

    def truths(self, faults: Iterable[Fault]) -> Truths:
        """Return what the rules have to find of all this."""
        ranges = {(bar.symbol, bar.session.session_date): (bar.low, bar.high) for bar in self.bars}
        wanted: Subjects = defaultdict(set)
        allowed: Subjects = defaultdict(set)
        for fault in faults:
            mine, day = (fault.symbol, fault.event_id), fault.event_time[:10]
            if fault.fault == "price_100x":
                wanted[rules.TRADE_PRICE].add(mine)
                wanted[rules.TRADE_RANGE].add(mine)
            elif fault.fault == "correct":
                # The trade stands with another price: up to 50 cents away may be far or near.
                allowed[rules.TRADE_PRICE].add(mine)
                low, high = ranges[fault.symbol, date.fromisoformat(day)]
                if not low <= Decimal(fault.detail["price"]) * UNIT <= high:
                    wanted[rules.TRADE_RANGE].add(mine)
            elif fault.fault == "late" and int(fault.detail["delay_ms"]) >= rules.STALE_S * 1000:
                wanted[rules.TRADE_STALE].add(mine)
            elif fault.fault == "missed_split":
                wanted[rules.SESSION_JUMP].add((fault.symbol, day))
        for bar in self._traded():
            end = bar.session.open_at + timedelta(minutes=5 * self._loud(bar.symbol, bar.session))
            wanted[rules.WINDOW_VOLUME].add((bar.symbol, f"{end:%Y-%m-%dT%H:%M:%SZ}"))
        return Truths(wanted, allowed)

    def _traded(self) -> list[DailyBar]:
        return [bar for bar in self.bars if bar.session != self._before]

    def _is_split(self, bar: DailyBar) -> bool:
        return bar.session.session_date >= self._ex_date(bar.symbol)

    def _ex_date(self, symbol: str) -> date:
        return self._days[_draw(self._seed, len(self._days), "ex-date", symbol)].session_date

    def _splits(self) -> Iterator[CorporateActionMessage]:
        for symbol in dict.fromkeys(bar.symbol for bar in self.bars):
            days = {day.session_date: day for day in self._days}
            yield _split_message(symbol, days[self._ex_date(symbol)])

    def _loud(self, symbol: str, day: Session) -> int:
        """Return which 5 minutes are loud: the nth of the session, some way from both ends."""
        first, last = rules.VOLUMES.fewest + 2, day.n_minutes // 5 - 1
        drawn = _draw(self._seed, last - first, "loud", symbol, day.session_date.isoformat())
        return first + drawn

    def _louder(self, message: TradeMessage) -> TradeMessage:
        at = datetime.fromisoformat(message.event_time)
        day = next(day for day in self._days if day.session_date == at.date())
        if (at - day.open_at) // timedelta(minutes=5) + 1 != self._loud(message.symbol, day):
            return message
        size = Decimal(message.data.size) * _TIMES
        return msgspec.structs.replace(
            message, data=msgspec.structs.replace(message.data, size=str(size))
        )


def _draw(seed: int, count: int, *names: str) -> int:
    return int(chance(seed, *names) * count)


def _split(bar: DailyBar) -> DailyBar:
    prices = {
        name: max(round(getattr(bar, name) / _RATIO / CENT), 1) * CENT
        for name in ("open", "high", "low", "close")
    }
    return replace(bar, **prices)


def _split_message(symbol: str, day: Session) -> CorporateActionMessage:
    at = rfc3339(day.open_at)
    data = CorporateActionData(
        type="split",
        ex_date=day.session_date.isoformat(),
        ratio=str(_RATIO),
        amount=None,
        currency="USD",
        as_of=at,
    )
    schema = "corporate_action.v1"
    return CorporateActionMessage(
        event_id=observation_id(NAME, schema, symbol, at, msgspec.to_builtins(data)),
        source=NAME,
        simulated=True,
        symbol=symbol,
        event_time=at,
        fetched_at=at,
        run_id=_RUN,
        data=data,
    )


def _landed(folder: Path, topic: str, messages: Iterable[Message]) -> Path:
    """Write messages as one bronze object."""
    path = folder / topic / "g=0" / "p=00000" / f"{0:020d}.jsonl.zst"
    path.parent.mkdir(parents=True)
    head = b'{"offset":%d,"timestamp":%d,"key":"-","headers":[],"value":'
    lines = (
        head % (offset, offset) + envelope.encode(message) + b"}\n"
        for offset, message in enumerate(messages)
    )
    path.write_bytes(zstandard.ZstdCompressor(level=1).compress(b"".join(lines)))
    return path


def _flagged(spark: SparkSession, uris: list[str]) -> set[Flagged]:
    exchange = calendar.get()
    sessions = sessions_of(spark, exchange)
    parsed = parse.parse(parse.objects(spark, uris), MODEL, MODEL)
    conformed = conform.conform(parsed, sessions, str(exchange.zone))
    rows = dedupe.classify(dedupe.events(conformed), [], MODEL).cache()
    trades, bars, actions = (_rows(rows, table) for table in (TRADES, BARS, CORPORATE_ACTIONS))
    found = rules.anomalies(effective(trades), sessions, bars, actions)
    return {(row["rule"], row["symbol"], row["subject"]) for row in found.collect()}


def _rows(classified: DataFrame, table: Table) -> DataFrame:
    mine = classified.where(F.col(dedupe.DESTINATION) == table.name)
    return mine.select(*(name for name in table.columns if name != "compacted_at"))


def _judged(flagged: set[Flagged], truths: Truths) -> list[dict[str, Any]]:
    return [_row(rule, flagged, truths) for rule in rules.RULES]


def _row(rule: str, flagged: set[Flagged], truths: Truths) -> dict[str, Any]:
    mine = {(symbol, subject) for name, symbol, subject in flagged if name == rule}
    wanted, allowed = truths.wanted[rule], truths.allowed[rule]
    right = len(mine & (wanted | allowed))
    return {
        "rule": rule,
        "injected": len(wanted),
        "flagged": len(mine),
        "precision": round(right / len(mine), 4) if mine else None,
        "recall": round(len(mine & wanted) / len(wanted), 4) if wanted else None,
    }


if __name__ == "__main__":
    app()
