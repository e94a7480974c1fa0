"""Two writers of one table, step by step in one process: the stale one is told so, as ours."""

from typing import Any

import pytest
from pyspark.sql import SparkSession

from ingestion.errors import CommitConflictError
from spark_jobs import commit, tables
from spark_jobs.iceberg import MAIN, LakeTable
from spark_jobs.schemas import DAILY_METRICS, REJECTS, TRADES, Table
from tests.spark_jobs.conftest import Lake
from tests.spark_jobs.messages import bar, trade

BRANCH = "mine"


def handle(spark: SparkSession) -> LakeTable:
    return LakeTable(spark, TRADES.identifier)


@pytest.fixture
def base(lake: Lake) -> int:
    tables.ensure(lake.spark, (TRADES,))
    head = handle(lake.spark).head()
    assert head is not None
    return head


def test_main_moved_after_the_branch_was_made(lake: Lake, base: int) -> None:
    mine, theirs = handle(lake.spark), handle(lake.spark)
    mine.create_branch(BRANCH, base)
    mine.append_nothing({}, BRANCH)
    theirs.append_nothing({"by": "another"})

    with pytest.raises(CommitConflictError, match="another job has committed"):
        mine.fast_forward(BRANCH)

    mine.refresh()
    assert mine.last_property("by") == "another"


def test_a_branch_grows_from_the_snapshot_that_was_read(lake: Lake, base: int) -> None:
    """Not from what another writer has made of main by then."""
    mine, theirs = handle(lake.spark), handle(lake.spark)
    theirs.append_nothing({"by": "another"})

    staged = commit.stage(TRADES, mine, base, BRANCH, None, {"by": "me"})

    assert mine.head() != base
    assert (staged.rows, staged.files) == (0, 0)
    assert mine.lineage(BRANCH)[1:] == [base]
    with pytest.raises(CommitConflictError):
        staged.publish()


def test_a_failed_block_leaves_no_branch(lake: Lake, base: int) -> None:
    mine, theirs = handle(lake.spark), handle(lake.spark)
    with pytest.raises(CommitConflictError), commit.branches() as staged:
        staged.append(commit.stage(TRADES, mine, base, BRANCH, None, {}))
        theirs.append_nothing({"by": "another"})
        staged[0].publish()

    mine.refresh()
    assert set(mine.refs()) == {MAIN}


def test_a_job_that_lost_the_race_starts_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another commit lands between the job's look at main and its branch, and before it publishes.

    By then the job has published another table: what it wrote there counts.
    """
    rivals = {spec.identifier for spec in (TRADES, DAILY_METRICS)}
    late_rivals = {REJECTS.identifier}
    stage, publish = commit.stage, commit.Staged.publish

    def after_a_rival(spec: Table, *arguments: Any, **named: Any) -> commit.Staged:
        if spec.identifier in rivals:
            rivals.remove(spec.identifier)
            LakeTable(lake.spark, spec.identifier).append_nothing({"by": "another"})
        return stage(spec, *arguments, **named)

    def published_after_a_rival(staged: commit.Staged) -> None:
        if staged.spec.identifier in late_rivals:
            late_rivals.remove(staged.spec.identifier)
            LakeTable(lake.spark, staged.spec.identifier).append_nothing({"by": "another"})
        publish(staged)

    monkeypatch.setattr(commit, "stage", after_a_rival)
    monkeypatch.setattr(commit.Staged, "publish", published_after_a_rival)
    lake.send_batch([bar(), bar("2013-02-27")])
    lake.send_trades([trade(i) for i in range(5)])

    summaries = lake.compact(), lake.daily()

    assert [summary.retries for summary in summaries] == [2, 1]
    assert summaries[0].written == {"trades": 5, "bars": 2, "corporate_actions": 0, "rejects": 0}
    assert lake.rows(TRADES).count() == 5
    assert lake.rows(DAILY_METRICS).count() == 2
    assert set(handle(lake.spark).refs()) == {MAIN}
