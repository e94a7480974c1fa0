"""The same raw rows in DuckDB and in the emulated Snowflake, built twice by the same project."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from snowflake.connector import SnowflakeConnection

from ingestion import calendar
from ingestion.contracts.records import BarMessage, CorporateActionMessage
from ingestion.settings import ROOT
from ingestion.sources import stocks_csv
from ingestion.sources.recorded import Recorded
from ingestion.sources.selection import Selection
from tests.dbt_stocks.conftest import Project, first_batch, second_batch
from tests.dbt_stocks.intraday_data import Market
from tests.dbt_stocks.raw import RawWarehouse, action, at, bar
from tests.dbt_stocks.snowflake.raw_copy import Copy
from tests.emulator.process import Emulator

CANDIDATE = "gold_candidate"
# A build takes half a minute; one that hangs must not hang the tests.
_BUILD_S = 400
# A year and a quarter of recorded sessions, so that a window of 252 returns is full for some; in it
# are a split of AAPL (2005-02-28) and GOOG's first session (2004-08-19).
_HISTORY = Selection(frozenset({"AAPL", "GOOG", "IBM", "MSFT"}), date(2004, 1, 2), date(2005, 5, 3))
_LATER = Selection(_HISTORY.symbols, date(2005, 5, 4), date(2005, 5, 17))
_CORRECTED = date(2004, 6, 15)

Row = dict[str, Any]


@dataclass(frozen=True)
class Engines:
    """Both warehouses after the last build; artifacts of the emulator's builds lie in ``home``."""

    duckdb: Project
    emulator: Emulator
    copy: Copy
    home: Path

    @property
    def connection(self) -> SnowflakeConnection:
        return self.copy.target

    def build(self, build_id: str, batch: int, *arguments: str) -> None:
        """Build and test with DuckDB, bring the batch to the emulator and build there."""
        self.duckdb.build("--build-id", build_id)
        self.copy.bring(batch)
        found = self._dbt(build_id, "build", *arguments)
        assert found.returncode == 0, found.stdout + found.stderr

    def results(self, build_id: str) -> list[dict[str, Any]]:
        """Return what dbt says of every node that it ran."""
        found: list[dict[str, Any]] = self._artifact(build_id, "run_results")["results"]
        return found

    def compiled(self) -> dict[str, dict[str, str]]:
        """Return the queries of each build by node: increments differ from first builds."""
        return {
            path.name: {
                result["unique_id"]: result["compiled_code"]
                for result in self.results(path.name)
                if result["unique_id"].startswith(("model.", "test."))
            }
            for path in sorted(self.home.glob("dbt/*"))
        }

    def marts(self) -> dict[str, list[str]]:
        """Return every mart of the manifest with its key, as its test of uniqueness names it."""
        nodes = self._manifest()["nodes"].values()
        marts = [
            n for n in nodes if n["resource_type"] == "model" and n["schema"].lower() == CANDIDATE
        ]
        return {mart["name"]: _key(mart, nodes) for mart in marts}

    def rows(self, relation: str) -> tuple[list[Row], list[Row]]:
        """Return a relation's rows in DuckDB and in the emulator, columns in lower case."""
        with duckdb.connect(self.duckdb.raw.path, read_only=True) as db:
            ours = db.execute(f"select * from {relation}")
            expected = _named([column[0] for column in ours.description], ours.fetchall())
        with self.connection.cursor() as cursor:
            cursor.execute(f"select * from {relation}")
            found = _named([column.name for column in cursor.description], cursor.fetchall())
        return expected, found

    def schema(self) -> dict[str, dict[str, dict[str, str]]]:
        """Return every relation's columns and types, as DuckDB has them."""
        found: dict[str, dict[str, dict[str, str]]] = {}
        with duckdb.connect(self.duckdb.raw.path, read_only=True) as db:
            for owner, relation, column, kind in db.execute(
                "select schema_name, table_name, column_name, data_type from duckdb_columns() "
                "where not internal order by all"
            ).fetchall():
                found.setdefault(owner, {}).setdefault(relation, {})[column] = kind
        return found

    def _manifest(self) -> dict[str, Any]:
        return self._artifact(sorted(self.home.glob("dbt/*"))[-1].name, "manifest")

    def _artifact(self, build_id: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / f"dbt/{build_id}/{name}.json").read_text())
        return found

    def _dbt(self, build_id: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        target = str(self.home / "dbt" / build_id)
        return subprocess.run(
            [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", *arguments,
             "--target-path", target, "--log-path", target],
            cwd=ROOT / "dbt_stocks",
            env=os.environ | self.emulator.environment | {"TAPEHOUSE_BUILD_ID": build_id},
            capture_output=True,
            text=True,
            timeout=_BUILD_S,
            check=False,
        )  # fmt: skip


def first_rows(raw: RawWarehouse, minutes: Market) -> None:
    """Add a load of everything: records of every kind, and a history that fills long windows."""
    first_batch(raw)
    raw.offsets["stock-market-batch"] = 10_000
    _recorded(raw, _HISTORY)
    # A second source's bars on both sides of a split, fetched after it and adjusted for it.
    fetched = {"as_of": at(2005, 3, 1), "fetched_at": at(2005, 3, 1)}
    raw.bars(
        bar("AAPL", day, prices, volume, source="yahoo", adjustment="split", **fetched)
        for day, prices, volume in (
            (date(2005, 2, 25), ("44.81", "44.96", "44.10", "44.50"), 32_696_800),
            (date(2005, 2, 28), ("44.68", "45.14", "43.96", "44.86"), 11_635_900),
        )
    )
    minutes.load(1)


def second_rows(raw: RawWarehouse, minutes: Market) -> None:
    """Add what comes later: copies, corrections, ten more sessions with two dividends."""
    second_batch(raw)
    raw.offsets["stock-market-batch"] = 20_000
    _recorded(raw, _LATER)
    corrected = ("30.10", "31.00", "29.50", "30.40")
    raw.bars([bar("AAPL", _CORRECTED, corrected, 9_000_000, as_of=at(2005, 5, 18))])
    minutes.load(2)


def differences(
    expected: Sequence[Row], found: Sequence[Row], key: Sequence[str]
) -> tuple[list[str], int]:
    """Compare rows by key: decimals exactly, doubles to 1e-9 relative; return values compared."""
    ours, theirs = _by_key(expected, key), _by_key(found, key)
    problems = [f"{name}: in DuckDB alone" for name in ours.keys() - theirs.keys()]
    problems += [f"{name}: in the emulator alone" for name in theirs.keys() - ours.keys()]
    compared = 0
    for name in ours.keys() & theirs.keys():
        row, other = ours[name], theirs[name]
        if row.keys() != other.keys():
            problems.append(f"{name}: columns {sorted(row.keys() ^ other.keys())}")
            continue
        compared += len(row)
        problems += [
            f"{name}: {column} {row[column]!r} is {other[column]!r}"
            for column in row
            if not _same(row[column], other[column])
        ]
    return sorted(problems), compared


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=1e-9) or (math.isnan(ours) and math.isnan(theirs))
    # A decimal without decimals arrives as a whole number; nothing else may change its type.
    if isinstance(ours, Decimal | int) and isinstance(theirs, Decimal | int):
        return isinstance(ours, bool) == isinstance(theirs, bool) and ours == theirs
    return type(ours) is type(theirs) and ours == theirs


def _by_key(rows: Sequence[Row], key: Sequence[str]) -> dict[str, Row]:
    keyed = {" ".join(str(row[column]) for column in key): row for row in rows}
    assert len(keyed) == len(rows), f"{key} is no key"
    return keyed


def _named(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> list[Row]:
    names = [column.lower() for column in columns]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _key(mart: dict[str, Any], nodes: Any) -> list[str]:
    tests = [t["test_metadata"] for t in nodes if t.get("attached_node") == mart["unique_id"]]
    for name in ("unique_combination", "unique"):
        for arguments in (test["kwargs"] for test in tests if test["name"] == name):
            return list(arguments.get("columns") or [arguments["column_name"]])
    raise AssertionError(f"{mart['name']} has no tested key")


def _recorded(raw: RawWarehouse, selection: Selection) -> None:
    bars, actions = [], []
    for message in Recorded(
        stocks_csv.packaged_file(), calendar.get("XNYS"), "recorded", selection
    ).messages():
        if isinstance(message, BarMessage):
            data = message.data
            prices = (data.open, data.high, data.low, data.close)
            adjusted = {"adj_close": Decimal(data.adj_close)} if data.adj_close else {}
            day, volume = date.fromisoformat(data.session_date), int(data.volume or 0)
            bars.append(bar(message.symbol, day, prices, volume, **adjusted))
        elif isinstance(message, CorporateActionMessage):
            told = message.data
            value = told.ratio or told.amount or ""
            actions.append(
                action(message.symbol, date.fromisoformat(told.ex_date), told.type, value)
            )
    raw.bars(bars)
    raw.actions(actions)
