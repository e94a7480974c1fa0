"""What is done to a running Airflow, in order; a scene returns its proofs, or raises."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from drill.airflow.client import Run
from drill.airflow.marts import differences
from drill.airflow.world import World
from infra.local.supervisor import Supervisor
from ingestion.errors import BuildError, StackError

BATCH: Final = "stock_market_batch_pipeline"
FILL: Final = "backfill"
MINUTE: Final = "minio_to_snowflake"
# One of the tasks of dbt that come first.
SEED: Final = "dbt.seeds.instruments"
EXPORT: Final = "export_gold"
SESSIONS: Final = ("2013-02-22", "2013-02-25", "2013-02-26", "2013-02-27", "2013-02-28")
# The session after them, the last of the recorded ones: that of the run in which things die.
NEXT: Final = "2013-03-01"
FIVE: Final[dict[str, Any]] = {
    "provider": "recorded",
    "start": SESSIONS[0],
    "end": SESSIONS[-1],
}
# The sixty sessions before them: marts with trailing windows have something to show.
BEFORE: Final[dict[str, Any]] = {
    "provider": "recorded",
    "start": "2012-11-26",
    "end": "2013-02-21",
}
# All of them in one go.
WHOLE: Final[dict[str, Any]] = BEFORE | {"end": SESSIONS[-1]}
BATCH_TOPIC: Final = "stock-market-batch"
QUOTES_TOPIC: Final = "stock-quotes"
TRADES_TOPIC: Final = "stock-market-realtime"
_PAGE: Final = 1_000
_QUOTES: Final = """
select
    (select count(*) from ops.load_ledger where target = 'common.bronze_stock_quotes_raw'),
    (select count(*) from common.bronze_stock_quotes_raw)
"""
PANELS: Final = ("power_bi_stocks", "superset_markets", "market_page", "quant_research")
_TIMEOUT_S: Final = 1_800.0
# The scheduler looks for what assets call for with each of its rounds.
_CAUSED_S: Final = 120.0


class Scene(NamedTuple):
    """A name and what is played; ``is_afresh``: in an empty world, where DAGs run when due too.

    ``after`` is the scene that leaves behind what this one is about.
    """

    name: str
    play: Callable[[World], list[str]]
    is_afresh: bool = False
    after: str | None = None


def batch(world: World) -> list[str]:
    """The batch pipeline, task by task, to published gold: the sessions before, then single ones.

    Those are five where another world is filled with them later, and the last of them otherwise.
    """
    days = SESSIONS if world.is_filled_again else SESSIONS[-1:]
    runs = [ended(world, BATCH, BEFORE, "success")]
    runs += [ended(world, BATCH, _of(day), "success") for day in days]
    models = [name for name in runs[-1].tasks if name.startswith("dbt.")]
    expect(len(models) > 50, f"expected a task for each model, found {len(models)}")
    [(builds,)] = world.query("select count(*) from ops.builds where status = 'published'")
    expect(builds == len(runs), f"expected {len(runs)} published builds, found {builds}")
    [(summaries,)] = world.query("select count(*) from ops.runs where state = 'success'")
    expect(summaries == len(runs), f"expected {len(runs)} summaries, found {summaries}")
    world.picture("airflow", runs[-1])
    shutil.copyfile(world.published(), world.original)
    return [
        f"{len(models)} models, each a task; runs of "
        + ", ".join(f"{run.seconds:.0f}" for run in runs)
        + " s",
        world.audit(),
        *traced(world, BATCH_TOPIC),
    ]


def again(world: World) -> list[str]:
    """T4: the same run again changes nothing. The minute path meanwhile gives way, and is over."""
    before = world.gold()
    run_id = world.api.trigger(BATCH, _of(SESSIONS[-1]))
    _wait_for(world, run_id, SEED, "success")
    beside = ended(world, MINUTE, {}, "success")
    expect(beside.states()["load"] == "skipped", f"expected no load: {beside.states()}")
    models = [t for name, t in world.api.tasks(BATCH, run_id).items() if name.startswith("dbt.")]
    left = sum(model.state != "success" for model in models)
    expect(left > len(models) / 2, f"the minute path waited until {left} models were left")
    found = world.api.wait(BATCH, run_id, _TIMEOUT_S)
    expect(found.state == "success", f"expected success: {found.states()}")
    same(before, world.gold())
    return [
        f"{len(before)} published tables as before",
        f"{MINUTE} gave way after {beside.seconds:.0f} s, with {left} models to come",
        world.audit(),
    ]


def minute(world: World) -> list[str]:
    """T3: the minute path takes quotes in more objects than a listing's page to gold.

    Then there is nothing new, and it does nothing.
    """
    # So slowly that the lander, told to close an object whenever it holds something, closes many.
    world.run(
        *("ingestion", "produce", "simulator", "--last-sessions", "1", "--rate", "25"),
        *("--volume-fraction", "0.0001", "--ledger", str(world.layout.state / "ledger")),
    )
    world.run("ingestion", "drain")
    found = ended(world, MINUTE, {}, "success")
    told = {name: found.states()[name] for name in ("build", "summary")}
    expect(set(told.values()) == {"success"}, f"expected a build and its page: {told}")
    [(objects, quotes)] = world.query(_QUOTES)
    expect(objects > _PAGE, f"expected more than {_PAGE} objects of quotes, found {objects}")
    sent = sum(world.log_ends([QUOTES_TOPIC]).values())
    expect(quotes == sent, f"expected {sent} quotes in the warehouse, found {quotes}")
    idle = ended(world, MINUTE, {}, "success")
    told = {name: idle.states()[name] for name in ("build", "summary")}
    expect(set(told.values()) == {"skipped"}, f"expected no build, and no page: {told}")
    return [
        f"{quotes} new quotes in {objects} objects in {found.seconds:.0f} s, "
        f"nothing new in {idle.seconds:.0f} s",
        *traced(world, BATCH_TOPIC, QUOTES_TOPIC),
    ]


def streaming(world: World) -> list[str]:
    """The streaming pipeline brings the trades that wait into the lake and gold."""
    found = ended(world, "stock_streaming_pipeline", {}, "success")
    expect(found.states()["build"] == "success", f"expected a build: {found.states()}")
    return [
        f"{found.seconds:.0f} s",
        world.audit(),
        *traced(world, BATCH_TOPIC, QUOTES_TOPIC, TRADES_TOPIC),
    ]


def failing(world: World) -> list[str]:
    """T6, T14: a failing test fails its model and the run, and leaves published gold alone.

    The group of models cleared, as the runbook says, the run ends green.
    """
    before, marts = world.digest(), world.gold()
    world.change("insert into gold_candidate.gold_candlestick from gold_candidate.gold_candlestick")
    found = ended(world, BATCH, _of(SESSIONS[-1]), "failed")
    states = found.states()
    broken = sorted(name for name, state in states.items() if state == "failed")
    expect(len(broken) == 1 and broken[0].startswith("dbt."), f"expected one model: {broken}")
    expect(found.tasks[broken[0]].tries == 1, "expected a failing test not to be tried again")
    expect(states["publish"] == "upstream_failed", f"published: {states['publish']}")
    expect(states["restore"] == "success", f"not restored: {states['restore']}")
    expect(world.digest() == before, "published gold has changed")
    world.picture("airflow-failed", found)
    models = {name for name in states if name.startswith("dbt.")}
    world.api.clear(BATCH, found.run_id, models)
    again = world.api.wait(BATCH, found.run_id, _TIMEOUT_S)
    expect(again.state == "success", f"cleared, and it ended otherwise: {again.states()}")
    same(marts, world.gold())
    return [f"{broken[0]} failed, gold byte for byte as before; cleared, the run is green"]


def missing_credential(world: World) -> list[str]:
    """T7: a provider without its key fails the run, and says which variable it is."""
    found = ended(world, BATCH, {**FIVE, "provider": "alphavantage"}, "failed")
    fetch = found.tasks["fetch"]
    expect((fetch.state, fetch.tries) == ("failed", 1), f"expected one failed try: {fetch}")
    expect(found.states()["publish"] == "upstream_failed", "something was published")
    return ["a missing key fails the fetch at once, and the run"]


def killed(world: World) -> list[str]:
    """The scheduler killed in mid-run of a new session: the run ends right, with that session."""
    before = world.sessions()
    more = {
        name.replace(SESSIONS[-1], NEXT): rows
        for name, rows in before.items()
        if name.endswith(SESSIONS[-1])
    }
    expect(bool(more), f"nothing of {SESSIONS[-1]} in gold")
    expect(not more.keys() & before.keys(), f"{NEXT} is in gold before it was fetched")
    run_id = world.api.trigger(BATCH, _of(NEXT))
    _wait_for(world, run_id, "process", "running")
    pid = Supervisor(world.layout).processes()["airflow-scheduler"]["pid"]
    os.kill(pid, signal.SIGKILL)
    found = world.api.wait(BATCH, run_id, _TIMEOUT_S)
    expect(found.state == "success", f"expected success: {found.states()}")
    same(before | more, world.sessions())
    tries = found.tasks["process"].tries
    return [
        f"success after {found.seconds:.0f} s, `process` in {tries} tries",
        f"{sum(more.values())} rows more, all of {NEXT}",
        world.audit(),
    ]


def maintained(world: World) -> list[str]:
    """The nightly upkeep leaves gold and the reconciliation as they were."""
    before = world.gold()
    found = ended(world, "maintain_lake", {}, "success")
    same(before, world.gold())
    return [f"{found.seconds:.0f} s", world.audit()]


def backfilled(world: World) -> list[str]:
    """T13: what the original runs made of their sessions, an empty world makes in one go."""
    world.api.switch(FILL, on=True)
    run = ended(world, FILL, WHOLE, "success")
    others = differences(world.original, world.published())
    expect(not others, "other than the original runs': " + "; ".join(others))
    return [
        f"{len(SESSIONS)} sessions and those before in {run.seconds:.0f} s, "
        f"{len(world.gold())} tables as the original runs'",
        world.audit(),
    ]


def exported(world: World) -> list[str]:
    """The export runs by itself once a build is published, and its files are that build's."""
    world.api.switch(FILL, on=True)
    world.api.switch(EXPORT, on=True)
    expect(not caused(world), "the export has run before anything was published for it")
    ended(world, FILL, WHOLE, "success")
    until = time.monotonic() + _CAUSED_S
    while not (runs := caused(world)):
        if time.monotonic() > until:
            raise TimeoutError(f"no run of {EXPORT} {_CAUSED_S:.0f} s after the publish")
        time.sleep(1)
    found = world.api.wait(EXPORT, runs[0], _TIMEOUT_S)
    expect(found.state == "success", f"expected success: {found.states()}")
    build, files = world.exported()
    shown, gold = world.published().stem, world.gold()
    expect(build == shown, f"expected files of {shown}, found {build}")
    same(gold, {name: files[name] for name in files if name in gold})
    return [f"{len(files)} files of {build} in {found.seconds:.0f} s, {len(gold)} hashed as gold"]


def caused(world: World) -> list[str]:
    """Return the runs of the export that the asset of published gold has started."""
    return world.api.run_ids(EXPORT, "asset_triggered")


SCENES: Final = (
    Scene("batch", batch),
    Scene("again", again),
    Scene("scheduler killed", killed),
    Scene("minute", minute),
    Scene("streaming", streaming, after="minute"),
    Scene("failing test", failing),
    Scene("missing credential", missing_credential),
    Scene("maintenance", maintained),
    Scene("backfill", backfilled, is_afresh=True),
    Scene("export", exported, is_afresh=True),
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


def _wait_for(world: World, run_id: str, task_id: str, state: str) -> None:
    """Wait until a task of a batch run has a state.

    Raises:
        TimeoutError: it has not in time.
    """
    until = time.monotonic() + _TIMEOUT_S
    while (found := world.api.tasks(BATCH, run_id)[task_id].state) != state:
        if time.monotonic() > until:
            raise TimeoutError(f"expected {task_id} to be {state}, found {found}")
        time.sleep(0.5)


def traced(world: World, *topics: str) -> list[str]:
    """Follow every panel to offsets; of these topics they must be all that Kafka has.

    Raises:
        StackError: something on the way is made by no event, or offsets differ.
    """
    found: dict[str, int] = {}
    for panel in PANELS:
        found |= world.trace(panel)
    held = {place: end for place, end in found.items() if place.partition("/")[0] in topics}
    logs = world.log_ends(topics)
    expect(held == logs, f"expected the panels to be made of offsets {logs}, found {held}")
    return [f"{len(PANELS)} panels traced to {sum(held.values())} offsets of {', '.join(topics)}"]


def _of(session: str) -> dict[str, Any]:
    return {"provider": "recorded", "start": session, "end": session}


def same(expected: Mapping[str, object], found: Mapping[str, object]) -> None:
    """Raise BuildError where what is told of published tables differs."""
    names = expected.keys() | found.keys()
    if others := sorted(name for name in names if expected.get(name) != found.get(name)):
        raise BuildError(f"gold is not as expected, these differ: {', '.join(others)}")


def expect(is_so: bool, otherwise: str) -> None:
    """Raise StackError where something is not as expected."""
    if not is_so:
        raise StackError(otherwise)
