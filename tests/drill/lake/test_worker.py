"""The process that the drill kills, on a real store: where it dies, and what the next one makes."""

from collections.abc import Iterator

import pytest

from drill.lake.content import COMPACTED, Lake
from drill.lake.jobs import Jobs
from ingestion.contracts.topics import BATCH, REALTIME
from ingestion.errors import StackError
from tests.conftest import RunningStack, StackFactory, in_force
from tests.spark_jobs.folder_bronze import GENERATION
from tests.spark_jobs.messages import bar, trade
from tests.spark_jobs.test_stack import land

pytestmark = pytest.mark.integration


@pytest.fixture
def lone_store(stack_factory: StackFactory) -> Iterator[RunningStack]:
    running = stack_factory.make("lake-drill", ("store",))
    with pytest.MonkeyPatch.context() as patch:
        yield in_force(running, patch)


@pytest.mark.long
def test_a_killed_job_dies_where_it_is_told_and_the_next_completes_it(
    lone_store: RunningStack,
) -> None:
    layout = lone_store.layout
    (layout.state / "lake").mkdir()
    land(BATCH, [bar(), bar(), bar("2013-02-27")])
    land(REALTIME, [trade(0), trade(1), trade(0)])
    lake = Lake(layout.state / "lake" / "catalog.db")

    victim = Jobs("victim", layout.state, layout.child_environment())
    assert victim.dies("compact", "after-publish", 2) == "after-publish 2"
    with pytest.raises(StackError, match="ended"):
        victim.run("compact")
    assert len([name for name, found in lake.positions().items() if found]) == 2

    steady = Jobs("steady", layout.state, layout.child_environment())
    try:
        assert steady.run("compact")["duplicates"] == 2
        rows = lake.rows(COMPACTED)
        done = steady.run("maintain")
    finally:
        steady.end()

    assert {name: found.total() for name, found in rows.items()} == {
        "silver.bars": 2,
        "silver.corporate_actions": 0,
        "silver.trades": 2,
        "silver.rejects": 2,
    }
    assert lake.rows(COMPACTED) == rows
    chains = {BATCH: {GENERATION: {"0": 3}}, REALTIME: {GENERATION: {"0": 3}}}
    assert lake.positions() == {
        "silver.bars": {BATCH: chains[BATCH]},
        "silver.corporate_actions": {BATCH: chains[BATCH]},
        "silver.trades": {REALTIME: chains[REALTIME]},
        "silver.rejects": chains,
    }
    assert done["applied"] is True
