"""The same job in Polars, its own process: bronze objects to sorted, typed, deduplicated Parquet.

Usage: polars_job.py BRONZE OUTPUT. Prints when it began and ended, and what it counted.

Checks and gaps are those of the job in DuckDB; besides, Polars' JSON decoder gives up on the whole
column at one line that is not JSON, so that lines are looked at by an expression first.
"""

import json
import re
import sys
import time
from pathlib import Path
from typing import Final

import polars as pl

from ingestion import calendar
from ingestion.contracts.topics import REALTIME

_UUID: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$"
_NUMBER: Final = r"^-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$"
_PRICE: Final = pl.Decimal(18, 6)
_DATA: Final = pl.Struct(
    {
        **dict.fromkeys(["price", "size", "exchange"], pl.String),
        **{"conditions": pl.List(pl.String), "seq": pl.Int64, "action": pl.String},
        "ref": pl.String,
    }
)
_VALUE: Final = pl.Struct(
    {
        **dict.fromkeys(["schema", "event_id", "source"], pl.String),
        **{"simulated": pl.Boolean, "symbol": pl.String, "event_time": pl.String},
        **{"fetched_at": pl.String, "run_id": pl.String, "data": _DATA},
    }
)
_LINE: Final = pl.Struct({"offset": pl.Int64, "timestamp": pl.Int64, "value": _VALUE})
_BUSINESS: Final = (
    *("source", "symbol", "exchange", "conditions", "action", "ref"),
    *("price", "size", "seq", "event_at"),
)
_CHUNK: Final = 4  # objects at a time; all at once take twice the memory


def main(bronze: str, output: str) -> None:
    """Do the job."""
    folder = Path(output)
    folder.mkdir()
    files = sorted(Path(bronze, REALTIME).glob("*/*/*.jsonl.zst"))
    sessions = pl.DataFrame({"session_date": [s.session_date for s in calendar.get().sessions()]})
    begin = time.time()
    parts = [_parsed(files[at : at + _CHUNK]) for at in range(0, len(files), _CHUNK)]
    judged = _judged(pl.concat(parts), sessions)
    del parts
    kept = judged.filter(pl.col("reason").is_null()).sort("session_date", "symbol", "event_at")
    kept = kept.drop("reason", "line", "local_date")
    (folder / "trades").mkdir()
    for (day,), rows in kept.partition_by("session_date", as_dict=True).items():
        rows.write_parquet(folder / "trades" / f"{day}.parquet", compression="zstd")
    refused = judged.filter(pl.col("reason").is_not_null())
    refused.select(
        *("partition", "offset", "reason", "event_id", "schema", "session_date"),
        raw=pl.when(pl.col("reason") != "duplicate").then("line"),
    ).write_parquet(folder / "rejects.parquet", compression="zstd")
    written = pl.scan_parquet(folder / "trades" / "*.parquet")
    count, ids = written.select(pl.len(), ids=pl.col("event_id").n_unique()).collect().row(0)
    end = time.time()
    assert count == ids  # noqa: S101 - what the audit of a commit asks
    rejected = dict(refused.group_by("reason").len().iter_rows())
    found = {"begin": begin, "end": end, "kept": count, "rejected": rejected}
    sys.stdout.write(json.dumps(found) + "\n")


def _parsed(files: list[Path]) -> pl.DataFrame:
    parts = [_lines(path) for path in files]
    lines = pl.concat(parts)
    is_object = pl.col("line").str.contains(r'"value":\{')
    whole = lines.with_columns(
        r=pl.when(is_object).then("line").str.json_decode(_LINE),
        offset=pl.col("line").str.extract(r'^\{"offset":([0-9]+)').cast(pl.Int64),
    )
    return _typed(whole)


def _lines(path: Path) -> pl.DataFrame:
    found = pl.read_csv(
        path, has_header=False, separator="\x01", quote_char=None, new_columns=["line"]
    )
    match = re.search(r"p=([0-9]+)", str(path))
    return found.with_columns(partition=pl.lit(int(match[1]) if match else None, pl.Int32))


def _typed(whole: pl.DataFrame) -> pl.DataFrame:
    value = pl.col("r").struct.field("value")
    data = value.struct.field("data")
    fields = whole.select(
        "line", "partition", "offset",
        pl.col("r").struct.field("timestamp").alias("kafka_ms"),
        *(value.struct.field(name) for name in ("schema", "event_id", "source", "symbol")),
        *(value.struct.field(name) for name in ("simulated", "run_id", "event_time", "fetched_at")),
        *(data.struct.field(name) for name in _DATA.to_schema()),
    )  # fmt: skip
    instant = {
        name: pl.col(text).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False)
        for name, text in (("event_at", "event_time"), ("fetched_at", "fetched_at"))
    }
    is_contract = (
        pl.col("event_id").str.contains(_UUID)
        & pl.col("source").str.contains("^[a-z0-9][a-z0-9_-]{0,63}$")
        & pl.col("symbol").str.contains(r"^[A-Z0-9^][A-Z0-9.\-=^]{0,19}$")
        & pl.col("event_time").str.contains(_TIME)
        & pl.col("fetched_at").str.contains(_TIME)
        & pl.col("run_id").str.len_chars().is_between(1, 64)
        & pl.col("simulated").is_not_null()
        & pl.col("price").str.contains(_NUMBER)
        & pl.col("size").str.contains(_NUMBER)
        & pl.col("conditions").is_not_null()
        & pl.col("seq").is_not_null()
        & pl.col("action").fill_null("new").is_in(["new", "correct", "cancel"])
        & (pl.col("ref").is_null() | pl.col("ref").str.contains(_UUID))
    )
    reason = (
        pl.when(pl.col("offset").is_null()).then(pl.lit("invalid_json"))
        .when(pl.col("kafka_ms").is_null()).then(pl.lit("not_an_object"))
        .when(pl.col("schema").ne_missing("trade.v1")).then(pl.lit("unknown_schema"))
        .when(~is_contract.fill_null(False)).then(pl.lit("contract"))
    )  # fmt: skip
    typed = fields.with_columns(
        reason=reason,
        price=pl.col("price").cast(_PRICE, strict=False),
        size=pl.col("size").cast(_PRICE, strict=False),
        **instant,
    )
    local = pl.col("event_at").dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    return typed.drop("event_time").with_columns(local_date=local.dt.date())


def _judged(parsed: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    days = sessions.with_columns(local_date=pl.col("session_date"))
    placed = parsed.join(days, on="local_date", how="left").with_columns(
        reason=pl.coalesce(
            "reason", pl.when(pl.col("session_date").is_null()).then(pl.lit("no_session"))
        )
    )
    events = placed.filter(pl.col("reason").is_null())
    doubtful = events.group_by("event_id").len().filter(pl.col("len") > 1).select("event_id")
    again = (
        events.join(doubtful, on="event_id", how="semi")
        .sort("kafka_ms", "partition", "offset")
        .with_columns(
            same=pl.struct(_BUSINESS) == pl.struct(_BUSINESS).first().over("event_id"),
            nth=pl.int_range(pl.len()).over("event_id"),
        )
        .filter(pl.col("nth") > 0)
        .select(
            "partition",
            "offset",
            again=pl.when("same").then(pl.lit("duplicate")).otherwise(pl.lit("conflict")),
        )
    )
    joined = placed.join(again, on=["partition", "offset"], how="left")
    return joined.with_columns(reason=pl.coalesce("reason", "again")).drop("again")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
