"""Real daily bars through bronze, compact and daily-metrics, compared with their file to the digit.

The file (1.7 M rows, 487 symbols, 1999 to 2015) is not part of the project. Its rows become
``bar.v1`` messages in bronze objects, the jobs run as they always do, and every value that comes
out is compared with the one that went in; what a sound bar is, is said here anew.
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer
from pyiceberg.catalog import load_catalog
from rich.console import Console

from benchmarks.land import measure
from benchmarks.spark import contenders
from benchmarks.spark.folder import Record, land
from ingestion import calendar
from ingestion.clock import rfc3339
from ingestion.contracts import envelope
from ingestion.contracts.identity import observation_id
from ingestion.contracts.records import BarData, BarMessage
from ingestion.contracts.topics import BATCH
from ingestion.errors import TapehouseError
from ingestion.settings import ROOT
from pipeline.screen import Screen

DATA: Final = ROOT.parent / "shared" / "data" / "sp500_daily.parquet"
SOURCE: Final = "sp500"
_PARTITIONS: Final = 4
_OBJECT_LINES: Final = 40_000
_FETCH_DELAY: Final = timedelta(minutes=15)
_PRICES: Final = ("open", "high", "low", "close")
_EXACT: Final = pa.decimal128(38, 18)
_MEBI: Final = 2**20

# The stubs have a class for each type of values; here it may be any of them.
Array: TypeAlias = Any
Table: TypeAlias = Any

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="The file of daily bars.")] = DATA,
    symbols: Annotated[int | None, typer.Option(help="Only the first so many symbols.")] = None,
) -> None:
    """Send every bar through the lake and compare; print seconds and memory of each job."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    if not data.is_file():
        typer.echo(f"skipped: {data} is not there", err=True)
        return
    try:
        _check(read(data, symbols), console)
    except TapehouseError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _check(source: Table, console: Console) -> None:
    with contenders.scratch() as home:
        sent = _land(source, home / "bronze")
        console.print(f"{source.num_rows:,} bars in bronze, {sent / _MEBI:,.0f} MiB of lines")
        state = home / "lake"
        jobs = ["compact", "daily-metrics"]
        lake = {"bronze": str(home / "bronze"), "state": str(state), "jobs": jobs}
        samples, said = contenders.jobs([lake], home)
        rows = [_row(one, samples) for one in said]
        Screen(console, 0).table("Real daily bars; memory is the highest of both jobs", rows)
        catalog = load_catalog("lake", type="sql", uri=f"sqlite:///{state}/catalog.db")
        names = ("silver.bars", "metrics.daily_stock_metrics")
        bars, metrics = (catalog.load_table(name).scan().to_arrow() for name in names)
        catalog.close()
    if found := differences(source, bars, metrics):
        raise TapehouseError(f"expected every value as in the file, found others: {found}")
    console.print(
        f"{bars.num_rows:,} bars and {metrics.num_rows:,} daily metrics: every value is the file's"
    )


def _row(said: dict[str, Any], samples: Sequence[measure.Sample]) -> dict[str, Any]:
    run = measure.run_of(samples, said["read"], said["begin"], said["end"])
    return {
        "job": said["job"],
        "s": round(run.seconds, 1),
        "CPU s": round(run.cpu_s, 1),
        "max RSS MiB": round(run.peak_rss / _MEBI),
        "read": f"{said['read']:,}",
        "written": f"{sum(said['written'].values()):,}",
        "files": said["files"],
    }


def read(path: Path, symbols: int | None = None) -> Table:
    """Return the file's rows by symbol and session, or those of its first symbols."""
    found = pq.read_table(path)
    if symbols is not None:
        names: Any = found.column("symbol").to_pylist()
        some = sorted(set(names))[:symbols]
        found = found.filter(pc.is_in(found.column("symbol"), value_set=pa.array(some)))
    return _in_order(found)


def messages(source: Table) -> Iterator[BarMessage]:
    """Make each row's message, as if fetched 15 minutes after its session's close."""
    sessions = {session.session_date: session for session in calendar.get().sessions()}
    for row in source.to_pylist():
        session = sessions[row["session_date"]]
        open_at, fetched_at = rfc3339(session.open_at), rfc3339(session.close_at + _FETCH_DELAY)
        data = BarData(
            interval="1d",
            start=open_at,
            session_date=row["session_date"].isoformat(),
            **{name: _text(row[name]) for name in _PRICES},
            volume=str(row["volume"]),
            adj_close=_text(Decimal(repr(row["adjusted_close"]))),
            currency="USD",
            adjustment="raw",
            as_of=fetched_at,
        )
        fields = {name: getattr(data, name) for name in data.__struct_fields__}
        yield BarMessage(
            event_id=observation_id(SOURCE, "bar.v1", row["symbol"], open_at, fields),
            source=SOURCE,
            simulated=False,
            symbol=row["symbol"],
            event_time=open_at,
            fetched_at=fetched_at,
            run_id="check",
            data=data,
        )


def differences(source: Table, bars: Table, metrics: Table) -> list[str]:
    """Return what differs between the file and the lake: names of columns, and of row counts."""
    found = _compare("bars", _expected_bars(source), _in_order(bars))
    sound = source.filter([_is_sound(row) for row in source.select(_NEEDED).to_pylist()])
    return found + _compare("daily", _expected_metrics(sound), _in_order(metrics))


_NEEDED: Final = [*_PRICES, "volume"]


def _expected_bars(source: Table) -> dict[str, Array]:
    exact = [Decimal(repr(value)) for value in source.column("adjusted_close").to_pylist()]
    return {
        "symbol": source.column("symbol"),
        "session_date": source.column("session_date"),
        **{name: source.column(name).cast(_EXACT) for name in _PRICES},
        "volume": source.column("volume"),
        "adj_close": pa.chunked_array([pa.array(exact, _EXACT)]),
    }


def _expected_metrics(sound: Table) -> dict[str, Array]:
    pairs = sound.select(["open", "close"]).to_pylist()
    changes = [(float(row["close"]) / float(row["open"]) - 1) * 100 for row in pairs]
    return {
        "symbol": sound.column("symbol"),
        "session_date": sound.column("session_date"),
        **{f"daily_{name}": sound.column(name) for name in _PRICES},
        "daily_volume": sound.column("volume"),
        "daily_change": pa.chunked_array([pa.array(changes)]),
    }


def _is_sound(row: dict[str, Any]) -> bool:
    inside = row["low"] <= min(row["open"], row["close"])
    return bool(row["low"] > 0 and inside and max(row["open"], row["close"]) <= row["high"])


def _compare(what: str, expected: dict[str, Array], found: Table) -> list[str]:
    rows = len(expected["symbol"])
    if rows != found.num_rows:
        return [f"{what}: {found.num_rows:,} rows instead of {rows:,}"]
    return [
        f"{what}.{name}"
        for name, values in expected.items()
        if not found.column(name).cast(values.type).equals(values)
    ]


def _in_order(table: Table) -> Table:
    return table.sort_by([("symbol", "ascending"), ("session_date", "ascending")])


def _text(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _land(source: Table, root: Path) -> int:
    """Write the messages, a symbol's all in one partition, and return the bytes of their lines."""
    symbols: Array = source.column("symbol")
    names = sorted(set(symbols.to_pylist()))
    total = 0
    for partition in range(_PARTITIONS):
        mine = pa.array(names[partition::_PARTITIONS])
        rows = source.filter(pc.is_in(symbols, value_set=mine))
        records = (
            Record(message.symbol.encode(), b"bar.v1", SOURCE.encode(), envelope.encode(message))
            for message in messages(rows)
        )
        total += land(root, BATCH, partition, records, _OBJECT_LINES).bytes
    return total


if __name__ == "__main__":
    app(prog_name="python -m benchmarks.spark.sp500")
