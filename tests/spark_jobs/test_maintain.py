"""Upkeep of a folder lake: what is needed stays, what is not goes, and nobody's rows change."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ingestion.errors import CommitConflictError, LakeError, SettingsError
from ingestion.settings import ROOT
from spark_jobs import __main__ as command
from spark_jobs import history, positions, tables
from spark_jobs.iceberg import LakeTable
from spark_jobs.jobs import maintain, news
from spark_jobs.jobs.maintain import Options
from spark_jobs.positions import Chain
from spark_jobs.schemas import BARS, POSITIONS, REJECTS, TRADES, Table
from spark_jobs.upkeep import Rewritten, UpkeepTable
from spark_jobs.upkeep_report import Summary
from tests.spark_jobs.compactor import wait_for
from tests.spark_jobs.conftest import Lake
from tests.spark_jobs.folder_bronze import GENERATION
from tests.spark_jobs.messages import OPEN, bar, trade

AT_ONCE = Options(apply=True, older_than=timedelta(0), orphan_grace=timedelta(0), force=True)
CHAIN = Chain("stock-market-realtime", GENERATION, 0)


def keep(lake: Lake, options: Options = AT_ONCE, **pins: dict[str, int]) -> Summary:
    return maintain.run(lake.context, options, pins)


def grow(lake: Lake, commits: int, start: int = 0) -> int:
    """Compact trades in so many commits, one file each, in no order of symbols or time."""
    for number in range(start, start + commits):
        at = OPEN + timedelta(minutes=37 * number % 60)
        values = [trade(number, at, symbol=symbol) for symbol in ("MSFT", "AAPL")]
        lake.send_trades(values, start=2 * number)
        lake.compact()
    return start + commits


def scatter(lake: Lake, commits: int, start: int = 0, table: Table = TRADES) -> None:
    """Append to a table as so many compactions would: a file of one row and positions each."""
    tables.ensure(lake.spark, (table,))
    known = {"session_date": "date'2013-02-28'", "event_at": "timestamp'2013-02-28 15:00:00'"}
    known |= {"price": "cast(1 as decimal(18,6))", "as_of": "timestamp'2013-03-01 00:00:00'"}
    known |= {"source": "'s'", "fetched_at": "timestamp'2013-02-28 15:00:01'"}
    for number in range(start, start + commits):
        given = known | {"event_id": f"'{number}'", "symbol": f"'S{-number}'"}
        columns = [
            f"{given.get(name, f'cast(null as {kind})')} as `{name}`"
            for name, kind in table.columns.items()
        ]
        row = lake.spark.sql(f"select {', '.join(columns)}").coalesce(1)
        covered = positions.encode({CHAIN: number + 1})
        writer = row.writeTo(table.identifier)
        writer.option(f"snapshot-property.{POSITIONS}", covered).append()


def rows(lake: Lake, table: Table = TRADES) -> Counter[str]:
    return Counter(map(str, lake.rows(table).collect()))


def covered(lake: Lake, table: Table = TRADES) -> dict[Chain, int]:
    return positions.decode(LakeTable(lake.spark, table.identifier).last_property(POSITIONS))


def files_on_disk(lake: Lake) -> set[Path]:
    found = (lake.state / "warehouse").rglob("*")
    return {path for path in found if path.is_file() and not path.name.endswith(".crc")}


def size_of(paths: set[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def test_upkeep_in_one_go(lake: Lake) -> None:
    """Dry run, apply, again; then compaction goes on from where it was."""
    grow(lake, 5)
    before = rows(lake)
    data = lake.state / "warehouse/silver/trades/data/session_date=2013-02-28"
    orphan = data / "left-by-a-killed-job.parquet"
    orphan.write_bytes(b"x" * 1000)
    on_disk = files_on_disk(lake)
    sizes = {path: path.stat().st_size for path in on_disk}

    plan = keep(lake, Options(**vars(AT_ONCE) | {"apply": False}))

    assert files_on_disk(lake) == on_disk
    planned = plan.tables["silver.trades"]
    assert (planned.before.data.files, planned.rewritten.files) == (5, 5)
    assert (planned.orphans.files, planned.orphans.bytes) == (1, 1000)
    assert planned.expired_snapshots == 6 - 3

    done = keep(lake)

    assert rows(lake) == before
    trades = done.tables["silver.trades"]
    assert trades.before == planned.before
    assert trades.after is not None
    assert (trades.after.data.files, trades.after.records) == (1, sum(before.values()))
    assert (trades.rewritten, trades.orphans) == (planned.rewritten, planned.orphans)
    gone = on_disk - files_on_disk(lake)
    assert orphan in gone
    freed = sum(sizes[path] for path in gone)
    told = sum(one.freed_bytes for one in done.tables.values())
    # What Iceberg itself deletes are old metadata files: none as early as this.
    assert freed == told > 0
    assert json.loads(json.dumps(done.as_dict()))["freed_bytes"] == freed
    assert covered(lake) == covered(lake, REJECTS) == {CHAIN: 10}
    assert "silver.trades: 5 files" in done.line()
    _is_sorted(lake)

    again = keep(lake)
    assert all(one.rewritten.files == 0 for one in again.tables.values())

    grow(lake, 1, start=5)
    assert covered(lake) == {CHAIN: 12}
    assert lake.rows(TRADES).count() == 12


def _is_sorted(lake: Lake) -> None:
    [data] = [
        path
        for path in (lake.state / "warehouse/silver/trades/data").rglob("*.parquet")
        if pq.ParquetFile(path).metadata.num_rows == lake.rows(TRADES).count()
    ]
    table = pq.ParquetFile(data).read(["symbol", "event_at"])
    found = list(zip(*(table[name].to_pylist() for name in ("symbol", "event_at")), strict=True))
    assert found == sorted(found)
    assert len(found) > 2


def test_metrics_that_lag_read_only_what_is_new_to_them(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot that they had covered is kept, with all that follow, whatever was rewritten."""
    scatter(lake, 4, table=BARS)
    lake.daily()
    scatter(lake, 2, start=4, table=BARS)
    table = UpkeepTable(lake.spark, BARS.identifier)
    keep(lake)
    found: list[news.News | None] = []
    read = news.gained

    def noted(*arguments: Any) -> news.News | None:
        found.append(read(*arguments))
        return found[-1]

    monkeypatch.setattr(news, "gained", noted)
    assert lake.daily().read == 6
    [gained] = found
    assert gained is not None, "else all sessions are computed anew"
    assert gained.days == {OPEN.date()}
    kept = table.state().snapshots
    assert keep(lake).tables["silver.bars"].expired_snapshots > 0, "they have caught up"
    assert table.state().snapshots < kept


def test_what_a_warehouse_has_loaded_is_tagged_and_kept(lake: Lake) -> None:
    scatter(lake, 2)
    loaded = lake.head(TRADES)
    assert loaded is not None
    scatter(lake, 4, start=2)

    keep(lake, one={"silver.trades": loaded})
    keep(lake)  # on a machine that does not see that warehouse's file

    table = UpkeepTable(lake.spark, TRADES.identifier)
    assert loaded in table.lineage()
    assert {"loaded_one", "kept_positions"} <= set(table.refs())
    keep(lake, Options(**vars(AT_ONCE) | {"forget": ("one",)}), one={"silver.trades": loaded})
    table.refresh()
    assert "loaded_one" not in table.refs()
    assert loaded not in table.lineage()


def test_the_branch_of_a_running_job_survives(lake: Lake) -> None:
    """Made off a head as old as the last news, and written to after upkeep is through."""
    scatter(lake, 5)
    mine = LakeTable(lake.spark, TRADES.identifier)
    base = mine.head()
    assert base is not None
    mine.create_branch("empty", base)
    mine.create_branch("written", base)
    data = lake.rows(TRADES).limit(1)
    data.writeTo(f"{TRADES.identifier}.branch_written").append()

    done = keep(lake)

    assert done.tables["silver.trades"].rewritten.files == 5
    mine.refresh()
    assert {"empty", "written"} <= set(mine.refs())
    versions = lake.spark.read.option("branch", "written").table(TRADES.identifier)
    assert versions.count() == 6
    data.writeTo(f"{TRADES.identifier}.branch_empty").append()
    with pytest.raises(CommitConflictError):
        mine.fast_forward("written")


def test_a_branch_off_an_old_head_is_young(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Iceberg takes the snapshot's age for the branch's: here a head of three days."""
    scatter(lake, 1)
    mine = UpkeepTable(lake.spark, TRADES.identifier)
    base = mine.head()
    assert base is not None

    class InThreeDays:
        """As far as ``create_branch`` asks a JVM."""

        def __init__(self, jvm: Any) -> None:
            self.java = self.lang = self.System = self
            self._now = jvm.java.lang.System.currentTimeMillis

        def currentTimeMillis(self) -> int:  # noqa: N802 - Java's
            return int(self._now()) + 3 * 24 * 3_600_000

    monkeypatch.setattr(mine, "_jvm", InThreeDays(mine._jvm))
    mine.create_branch("mine", base)
    monkeypatch.undo()

    found = mine.history()
    made_ms = found.snapshots[base].committed_ms
    day = 24 * 3_600_000
    assert 4 * day <= (found.refs["mine"].max_age_ms or 0) < 4 * day + 600_000
    assert history.dead_branches(found, made_ms + 4 * day - 1) == []
    assert history.dead_branches(found, made_ms + 5 * day) == ["mine"]


def test_many_manifests_become_few(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_jobs.upkeep._MANIFESTS_WORTH_IT", 3)
    scatter(lake, 3)

    done = keep(lake).tables["silver.trades"]

    assert done.are_manifests_rewritten
    assert done.before.manifests.files == 3
    assert done.after is not None
    assert done.after.manifests.files == 1
    assert covered(lake) == {CHAIN: 3}


def test_a_rewrite_that_loses_a_row_is_an_error(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    scatter(lake, 5)
    rewrite = UpkeepTable.rewrite

    def loses_one(table: UpkeepTable) -> Rewritten:
        found = rewrite(table)
        return Rewritten(found.old, found.new, found.records_before + 1, found.records_after)

    monkeypatch.setattr(UpkeepTable, "rewrite", loses_one)
    with pytest.raises(LakeError, match=r"silver\.trades: rewrote 6 rows into 5"):
        keep(lake)


def test_an_empty_lake_needs_nothing(lake: Lake) -> None:
    assert keep(lake).tables == {}
    tables.ensure(lake.spark, (BARS,))
    done = keep(lake).tables["silver.bars"]
    assert (done.freed_bytes, done.before.records, done.expired_snapshots) == (0, 0, 0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (Options(older_than=timedelta(minutes=59)), "--older-than: expected at least 1:00:00"),
        (Options(orphan_grace=timedelta(hours=23)), "--orphan-grace: expected at least 1 day"),
    ],
)
def test_times_that_could_disturb_a_job_have_to_be_forced(options: Options, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        options.check()
    Options(**vars(options) | {"force": True}).check()


def test_the_command_reads_times_as_people_write_them() -> None:
    assert maintain.duration("7d") == timedelta(days=7)
    assert maintain.duration("90s") == timedelta(seconds=90)
    for wrong in ("7", "d", "-1d", "1w"):
        found = CliRunner().invoke(command.app, ["maintain", "--older-than", wrong])
        assert found.exit_code == 2
        assert "expected a time like 7d" in found.output


def killed(lake: Lake, job: str, point: str, nth: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.spark_jobs.victim", str(lake.state), job, point, str(nth)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        check=False,
    )
    assert done.returncode == -9
    assert (lake.state / "died").read_text() == f"{point} {nth}"


@pytest.mark.long
def test_what_killed_jobs_leave_is_completed_and_removed(lake: Lake) -> None:
    """A row of the drill: compaction dies between two tables, upkeep before it deletes."""
    scatter(lake, 5)
    lake.send_trades([trade(5), trade(6), trade(5)], start=5)
    killed(lake, "compact", "after-publish", 1)
    assert covered(lake) == {CHAIN: 8}
    assert covered(lake, REJECTS) == {}
    killed(lake, "maintain", "after-expiry", 1)
    on_disk = files_on_disk(lake)

    lake.compact()
    done = keep(lake)

    assert covered(lake) == covered(lake, REJECTS) == {CHAIN: 8}
    ids = [row["event_id"] for row in lake.rows(TRADES).collect()]
    assert len(ids) == len(set(ids)) == 7
    assert [row["offset"] for row in lake.rows(REJECTS).collect()] == [7]
    assert done.tables["silver.trades"].orphans.files >= 5, "what expiry had let go"
    assert len(on_disk & files_on_disk(lake)) < len(on_disk)
    refs = LakeTable(lake.spark, REJECTS.identifier).refs()
    assert any(name.startswith("compact_") for name in refs), "nobody knows yet that it is dead"


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.spark_jobs.neighbour", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def neighbours(lake: Lake, *names: str) -> Iterator[dict[str, subprocess.Popen[str]]]:
    processes = {name: start(name, str(lake.state)) for name in names}
    try:
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def after_two_steps(state: Path, name: str, process: subprocess.Popen[str]) -> None:
    """Wait for a step that began after this moment: the one under way may be older."""
    for _ in range(2):
        (state / f"{name}.stepped").unlink(missing_ok=True)
        while not (state / f"{name}.stepped").exists():
            assert process.poll() is None, f"{name} ended with {process.returncode}"
            time.sleep(0.02)


@pytest.mark.long
def test_readers_and_loads_are_never_disturbed(lake: Lake) -> None:
    """Each a process of its own, all the while jobs commit: upkeep with expiry, load, reader."""
    scatter(lake, 6)
    sent = 6
    with neighbours(lake, "load", "read", "maintain") as processes:
        for rounds in range(1, 4):
            sent = lake.send_trades([trade(sent), trade(sent + 1)], start=sent)
            lake.send_batch([bar(symbol=f"S{rounds}")], start=rounds - 1)
            lake.compact()
            lake.daily()
            for name in processes:
                after_two_steps(lake.state, name, processes[name])
        wait_for(lake.state / "expired")
        (lake.state / "stop").touch()
        ends = {name: process.communicate(timeout=300)[0] for name, process in processes.items()}
        assert [process.returncode for process in processes.values()] == [0, 0, 0]

    told = {name: json.loads(end) for name, end in ends.items()}
    assert lake.rows(TRADES).count() == sent
    assert lake.rows(TRADES).select("event_id").distinct().count() == sent
    assert told["read"]["rows"] == sorted(told["read"]["rows"])
    assert told["read"]["rows"][-1] == sent
    assert told["load"]["silver.bars"] == [rounds, rounds]
    assert told["load"]["metrics.daily_stock_metrics"] == [rounds, rounds]
    assert told["maintain"]["expired_snapshots"] > 0
    assert told["maintain"]["rewritten_files"] > 0
