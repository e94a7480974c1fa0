"""The figures of `make bench-spark`: what is made, and that all contenders do the same job."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.land.measure import Run
from benchmarks.spark import __main__ as command
from benchmarks.spark import backlog, contenders, data, seen, steps, stream
from benchmarks.spark.folder import FolderBronze
from ingestion.clock import rfc3339
from ingestion.contracts import envelope
from ingestion.contracts.topics import REALTIME
from ingestion.errors import TapehouseError
from ingestion.settings import ROOT
from spark_jobs import commit
from spark_jobs.tally import Tally

TRADES = 64_000


@pytest.fixture(scope="module")
def bronze(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, data.Made]:
    root = tmp_path_factory.mktemp("bench") / "bronze"
    return root, data.write(root, TRADES, objects=8)


def test_a_made_trade_is_written_as_our_producers_write_it() -> None:
    made, ours = data.example()
    assert made == ours


def test_a_trade_of_the_stream_is_one_that_the_contract_takes() -> None:
    at = datetime(2013, 2, 28, 19, 30, 0, 1000, UTC)
    key, value = data.trade(7, 12, rfc3339(at).encode())
    again = data.trade(8, 12, rfc3339(at).encode())[1]
    message, other = (envelope.decode(one) for one in (value, again))
    assert (key, message.symbol, message.event_time) == (b"SYM007", "SYM007", rfc3339(at))
    assert message.event_id != other.event_id


def test_a_trade_is_seen_with_the_first_revision_that_has_its_fetch() -> None:
    at = datetime(2013, 2, 28, 19, 30, tzinfo=UTC)
    trades = [seen.Trade("A", at + timedelta(seconds=n), 100.0 + n) for n in range(3)]
    written = [
        *(("A", 1, at - timedelta(seconds=9)), ("A", 2, at + timedelta(seconds=1))),
        *(("A", 3, at + timedelta(seconds=1)), ("A", 4, at + timedelta(seconds=2))),
        ("B", 1, at + timedelta(hours=1)),
    ]
    # Revision 4 was overlooked: who sees 5 sees its rows.
    found = seen.waits(trades, written, {1: 99.0, 2: 104.0, 3: 106.0, 5: 109.0})
    assert found == [3.0, 4.0, 7.0]
    with pytest.raises(TapehouseError, match="never seen"):
        seen.waits(trades, written, {1: 99.0, 2: 104.0})
    with pytest.raises(TapehouseError, match="never seen"):
        seen.waits(trades, written[:2], {1: 99.0, 2: 104.0})


def test_the_stream_s_rows_have_a_table_of_their_own() -> None:
    rate = backlog.row([Run(100, 2.0, 1.0, 2**20), Run(100, 1.0, 2.0, 2**21)])
    assert (rate["median"], rate["runs"], rate["cpu_us_per_record"]) == (75, [50, 100], 15000.0)
    late = seen.row("5s", [float(n) for n in range(100)])
    assert (late["p50"], late["p95"], late["longest"]) == (50.0, 95.0, 99.0)
    assert all(map(stream.is_mine, (rate, late)))
    assert not stream.is_mine({"row": command.SPARK})
    shown = stream.shown([rate, late])
    assert shown[0].keys() == shown[1].keys()


def test_objects_are_chains_that_hold_what_was_made(bronze: tuple[Path, data.Made]) -> None:
    root, made = bronze
    folder = FolderBronze(root)
    (generation,) = folder.folders(f"{REALTIME}/")
    lines = 0
    for partition in folder.folders(generation):
        keys = list(folder.keys(partition, ""))
        assert len(keys) == 2
        assert list(FolderBronze(root, objects=1).keys(partition, "")) == keys[:1]
        metadata = [folder.metadata(key) for key in keys]
        assert keys[1].endswith(f"{int(metadata[0]['next']):020d}.jsonl.zst")
        lines += sum(int(one["count"]) for one in metadata)
    assert made.kept == TRADES
    assert made.rejected == {"duplicate": 64, "contract": 4, "unknown_schema": 4}
    assert lines == TRADES + made.rejected.total()


@pytest.mark.parametrize("module", ["duckdb_job", "polars_job"])
def test_a_peer_keeps_and_refuses_what_was_made(
    bronze: tuple[Path, data.Made], tmp_path: Path, module: str
) -> None:
    root, made = bronze
    words = [str(root), str(tmp_path / "out"), "2"]
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.spark.{module}", *words],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    said = json.loads(done.stdout)
    assert (said["kept"], said["rejected"]) == (made.kept, dict(made.rejected))


def test_a_run_that_did_something_else_does_not_count() -> None:
    said = {"kept": 9, "rejected": {}, "begin": 0.0, "end": 1.0}
    with pytest.raises(TapehouseError, match="expected"):
        contenders._checked([], said, data.Made(kept=10))


def test_rows_are_related_to_the_median_of_their_base() -> None:
    runs = {
        command.SPARK: [Run(10, seconds, 9.0, 2**20) for seconds in (8.0, 9.0, 30.0)],
        command.DUCKDB: [Run(10, seconds, 4.0, 2**21) for seconds in (1.0, 3.0, 4.0)],
    }
    rows = {row["row"]: row for row in command._related(runs, command.DUCKDB, "times_duckdb")}
    assert (rows[command.SPARK]["median"], rows[command.SPARK]["times"]) == (9.0, 3.0)
    assert (rows[command.DUCKDB]["times"], rows[command.DUCKDB]["peak_rss_mib"]) == (1.0, 2)


def test_the_steps_of_a_compaction_are_timed_and_left_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commit.Staged, "publish", lambda self: (time.sleep(0.02), self)[1])
    monkeypatch.setattr(Tally, "of", classmethod(lambda cls, pages: (cls, pages)))
    before = [vars(owner)[step] for owner, step in steps.STEPS.values()]

    with steps.timed() as spent:
        assert commit.Staged.publish("it") == "it"  # type: ignore[func-returns-value, arg-type]
        assert Tally.of("pages") == (Tally, "pages")  # type: ignore[comparison-overlap, arg-type]
        with pytest.raises(TypeError):
            commit.stage()  # type: ignore[call-arg]

    assert spent["moving main"] >= 0.02
    assert set(spent) == {"moving main", "objects to pages", "pages to sorted files"}
    assert [vars(owner)[step] for owner, step in steps.STEPS.values()] == before
