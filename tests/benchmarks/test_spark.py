"""The figures of `make bench-spark`: what is made, and that all contenders do the same job."""

import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.land.measure import Run
from benchmarks.spark import __main__ as command
from benchmarks.spark import contenders, data, steps
from benchmarks.spark.folder import FolderBronze
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


@pytest.mark.parametrize(
    "module",
    [
        "benchmarks.spark.duckdb_job",
        pytest.param(
            "benchmarks.spark.polars_job",
            marks=pytest.mark.skipif(not find_spec("polars"), reason="Polars is not installed"),
        ),
    ],
)
def test_a_peer_keeps_and_refuses_what_was_made(
    bronze: tuple[Path, data.Made], tmp_path: Path, module: str
) -> None:
    root, made = bronze
    words = [str(root), str(tmp_path / "out"), "2"]
    done = subprocess.run(
        [sys.executable, "-m", module, *words], cwd=ROOT, capture_output=True, check=True
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
