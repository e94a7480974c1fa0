"""What is done to a running Airflow, in order; a scene returns its proofs, or raises."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from drill.airflow.client import Run
from drill.airflow.world import World
from infra.local.supervisor import Supervisor
from ingestion.errors import BuildError, StackError

BATCH: Final = "stock_market_batch_pipeline"
FIVE: Final[dict[str, Any]] = {
    "provider": "recorded",
    "start": "2013-02-25",
    "end": "2013-03-01",
}
# The sixty sessions before: marts with trailing windows have something to show.
BEFORE: Final[dict[str, Any]] = {
    "provider": "recorded",
    "start": "2012-11-26",
    "end": "2013-02-22",
}
_TIMEOUT_S: Final = 1_800.0


class Scene(NamedTuple):
    """A name and what is played."""

    name: str
    play: Callable[[World], list[str]]


def batch(world: World) -> list[str]:
    """The batch pipeline, task by task, to published gold."""
    first = ended(world, BATCH, BEFORE, "success")
    second = ended(world, BATCH, FIVE, "success")
    models = [name for name in second.tasks if name.startswith("dbt.")]
    expect(len(models) > 50, f"expected a task for each model, found {len(models)}")
    [(builds,)] = world.query("select count(*) from ops.builds where status = 'published'")
    expect(builds == 2, f"expected two published builds, found {builds}")
    [(summaries,)] = world.query("select count(*) from ops.runs where state = 'success'")
    expect(summaries == 2, f"expected two summaries, found {summaries}")
    world.picture("airflow", second)
    return [
        f"{len(models)} models, each a task; first run {first.seconds:.0f} s, "
        f"second {second.seconds:.0f} s",
        world.audit(),
    ]


def again(world: World) -> list[str]:
    """T4: the same run again changes nothing."""
    before = world.gold()
    ended(world, BATCH, FIVE, "success")
    same(before, world.gold())
    return [f"{len(before)} published tables as before", world.audit()]


def backfilled(world: World) -> list[str]:
    """T13: five past sessions in one go are what the original runs made of them."""
    before = world.gold()
    run = ended(world, "backfill", FIVE, "success")
    same(before, world.gold())
    return [f"five sessions in {run.seconds:.0f} s, {len(before)} tables as before", world.audit()]


def minute(world: World) -> list[str]:
    """The minute path takes new quotes to gold, and does nothing where there are none."""
    world.run(
        *("ingestion", "produce", "simulator", "--symbol", "AAPL", "--last-sessions", "1"),
        *("--start", "2013-03-01", "--ledger", str(world.layout.state / "ledger")),
    )
    world.run("ingestion", "drain")
    found = ended(world, "minio_to_snowflake", {}, "success")
    expect(found.states()["build"] == "success", f"expected a build: {found.states()}")
    idle = ended(world, "minio_to_snowflake", {}, "success")
    expect(idle.states()["build"] == "skipped", f"expected no build: {idle.states()}")
    return [f"new quotes in {found.seconds:.0f} s, nothing new in {idle.seconds:.0f} s"]


def streaming(world: World) -> list[str]:
    """The streaming pipeline brings the trades that wait into the lake and gold."""
    found = ended(world, "stock_streaming_pipeline", {}, "success")
    expect(found.states()["build"] == "success", f"expected a build: {found.states()}")
    return [f"{found.seconds:.0f} s", world.audit()]


def failing(world: World) -> list[str]:
    """T6, T14: a failing test fails its model and the run, and leaves published gold alone."""
    before = world.digest()
    world.change("insert into gold_candidate.gold_candlestick from gold_candidate.gold_candlestick")
    found = ended(world, BATCH, FIVE, "failed")
    states = found.states()
    broken = sorted(name for name, state in states.items() if state == "failed")
    expect(len(broken) == 1 and broken[0].startswith("dbt."), f"expected one model: {broken}")
    expect(found.tasks[broken[0]].tries == 1, "expected a failing test not to be tried again")
    expect(states["publish"] == "upstream_failed", f"published: {states['publish']}")
    expect(states["restore"] == "success", f"not restored: {states['restore']}")
    expect(world.digest() == before, "published gold has changed")
    world.picture("airflow-failed", found)
    after = ended(world, BATCH, FIVE, "success")
    return [f"{broken[0]} failed, gold byte for byte as before, next run {after.state}"]


def missing_credential(world: World) -> list[str]:
    """T7: a provider without its key fails the run, and says which variable it is."""
    found = ended(world, BATCH, {**FIVE, "provider": "alphavantage"}, "failed")
    fetch = found.tasks["fetch"]
    expect((fetch.state, fetch.tries) == ("failed", 1), f"expected one failed try: {fetch}")
    expect(found.states()["publish"] == "upstream_failed", "something was published")
    return ["a missing key fails the fetch at once, and the run"]


def killed(world: World) -> list[str]:
    """The scheduler killed in mid-run and started again: the run ends right, and so do counts."""
    before = world.gold()
    run_id = world.api.trigger(BATCH, FIVE)
    until = time.monotonic() + _TIMEOUT_S
    while world.api.tasks(BATCH, run_id)["process"].state != "running":
        if time.monotonic() > until:
            raise TimeoutError("the task process did not start")
        time.sleep(0.5)
    pid = Supervisor(world.layout).processes()["airflow-scheduler"]["pid"]
    os.kill(pid, signal.SIGKILL)
    found = world.api.wait(BATCH, run_id, _TIMEOUT_S)
    expect(found.state == "success", f"expected success: {found.states()}")
    same(before, world.gold())
    tries = found.tasks["process"].tries
    return [f"success after {found.seconds:.0f} s, `process` in {tries} tries", world.audit()]


def maintained(world: World) -> list[str]:
    """The nightly upkeep leaves gold and the reconciliation as they were."""
    before = world.gold()
    found = ended(world, "maintain_lake", {}, "success")
    same(before, world.gold())
    return [f"{found.seconds:.0f} s", world.audit()]


SCENES: Final = (
    Scene("batch", batch),
    Scene("again", again),
    Scene("backfill", backfilled),
    Scene("minute", minute),
    Scene("streaming", streaming),
    Scene("failing test", failing),
    Scene("missing credential", missing_credential),
    Scene("scheduler killed", killed),
    Scene("maintenance", maintained),
)


def ended(world: World, dag_id: str, conf: Mapping[str, Any], state: str) -> Run:
    """Trigger a run, wait for its end, and return it.

    Raises:
        StackError: it has not ended as it should.
    """
    found = world.api.wait(dag_id, world.api.trigger(dag_id, conf), _TIMEOUT_S)
    if found.state != state:
        bad = {name: s for name, s in found.states().items() if s not in ("success", "skipped")}
        raise StackError(f"{dag_id}: expected {state}, found {found.state}: {bad}")
    return found


def same(before: Mapping[str, object], after: Mapping[str, object]) -> None:
    """Raise BuildError where published tables differ."""
    names = before.keys() | after.keys()
    if others := sorted(name for name in names if before.get(name) != after.get(name)):
        raise BuildError(f"expected gold as before, these differ: {', '.join(others)}")


def expect(is_so: bool, otherwise: str) -> None:
    """Raise StackError where something is not as expected."""
    if not is_so:
        raise StackError(otherwise)
