"""From a panel to offsets, by events as OpenLineage writes them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from ingestion.errors import BuildError
from orchestration import edges, lineage
from orchestration.edges import BUILD, ENDS, SOURCES, Edge, Node
from orchestration.lineage import Events

BARS = edges.bronze("stock-market-batch")
PLACE = "stock-market-batch/aa/0"
Event = dict[str, Any]


def events(
    minute: int, task: str, outputs: Sequence[Edge], reads: Sequence[Node] = (), lasts: int = 0
) -> list[Event]:
    """Return START and COMPLETE of a task; ``reads``: told without saying of which output."""
    inputs = reads if reads else [one for edge in outputs for one in edge.inputs]
    run = {"runId": f"{task}-{minute}", "facets": {"airflow": {"dagRun": {"run_id": f"r{minute}"}}}}
    common: Event = {"run": run, "job": {"name": f"dag.{task}"}}
    began = {"eventType": "START", "eventTime": moment(minute), "inputs": [], "outputs": []}
    ended = {
        "eventType": "COMPLETE",
        "eventTime": moment(minute + lasts),
        "inputs": [dataset(one) for one in inputs],
        "outputs": [told(edge, is_exact=not reads) for edge in outputs],
    }
    return [common | began, common | ended]


def moment(minute: int) -> str:
    return f"2026-11-02T10:{minute:02}:00.000000Z"


def dataset(node: Node) -> dict[str, Any]:
    return {"namespace": node.namespace, "name": node.name}


def told(edge: Edge, *, is_exact: bool) -> dict[str, Any]:
    facets: dict[str, Any] = {}
    if is_exact:
        facets[SOURCES] = {"inputs": [dataset(one) for one in edge.inputs]}
    if edge.build:
        facets[BUILD] = {"build_id": edge.build}
    if edge.ends:
        facets[ENDS] = {"ends": dict(edge.ends)}
    return dataset(edge.output) | {"facets": facets}


def landed(minute: int, end: int, place: str = PLACE) -> list[Event]:
    topic = edges.topic("stock-market-batch")
    return events(minute, "consume", [Edge(BARS, (topic,), {place: end})])


def computed(minute: int, lasts: int = 0) -> list[Event]:
    return events(minute, "process", [Edge(edges.lake("silver.bars"), (BARS,))], lasts=lasts)


def built(minute: int, mart: str = "gold_kpi") -> list[Event]:
    """Load, a model whose test reads it too, and publishing."""
    raw, model = edges.warehouse("common.bars_raw"), edges.warehouse("silver.silver_bars")
    candidate = edges.warehouse(f"gold_candidate.{mart}")
    return [
        *events(minute, "load", [Edge(raw, (edges.lake("silver.bars"),))]),
        *events(minute + 1, "silver_bars", [Edge(model, (raw,))], reads=[raw, model]),
        *events(minute + 2, mart, [Edge(candidate, (model,))], reads=[model, candidate]),
        *events(minute + 3, "publish", [published(mart, candidate, minute)]),
    ]


def published(mart: str, made_of: Node, minute: int) -> Edge:
    return Edge(edges.warehouse(f"gold.{mart}"), (made_of,), build=f"b{minute}")


def test_a_mart_is_followed_to_the_offsets_of_its_run() -> None:
    found = Events([*landed(1, 40), *computed(2), *built(3)]).origin("gold_kpi", "b3")

    assert found.offsets == {PLACE: 40}
    assert found.unexplained == []
    assert found.run == "dag r6"
    on_the_way = (BARS, edges.lake("silver.bars"), edges.warehouse("silver.silver_bars"))
    assert {node.name for node in on_the_way} < set(found.tables)


def test_what_landed_after_the_job_began_is_not_in_it() -> None:
    late = [*landed(1, 40), *computed(2, lasts=3), *landed(4, 90), *built(6)]

    assert Events(late).origin("gold_kpi", "b6").offsets == {PLACE: 40}


def test_a_later_run_that_has_not_published_changes_nothing() -> None:
    half = [*landed(1, 40), *computed(2), *built(3), *landed(10, 90), *computed(11)]

    assert Events(half).origin("gold_kpi", "b3").offsets == {PLACE: 40}
    whole = [*half, *built(12)]
    assert Events(whole).origin("gold_kpi", "b12").offsets == {PLACE: 90}
    # A rollback shows the build before again, whatever ran last.
    assert Events(whole).origin("gold_kpi", "b3").offsets == {PLACE: 40}


def test_partitions_told_of_at_different_times_are_all_there() -> None:
    other = "stock-market-batch/aa/1"
    found = Events([*landed(1, 40), *landed(2, 7, other), *computed(3), *built(4)])

    assert found.origin("gold_kpi", "b4").offsets == {PLACE: 40, other: 7}


def test_a_task_of_several_jobs_reads_what_it_has_made_itself() -> None:
    bars, metrics = edges.lake("silver.bars"), edges.lake("metrics.daily_stock_metrics")
    raw, mart = edges.warehouse("common.daily_raw"), edges.warehouse("gold.gold_kpi")
    found = [
        *landed(1, 40),
        *events(2, "process", [Edge(bars, (BARS,)), Edge(metrics, (bars,))], lasts=1),
        *events(4, "load", [Edge(raw, (metrics,))]),
        *events(5, "build", [Edge(mart, (raw,), build="b5")]),
    ]

    origin = Events(found).origin("gold_kpi", "b5")

    assert (origin.offsets, origin.unexplained) == ({PLACE: 40}, [])


def test_what_no_event_makes_is_named() -> None:
    found = Events(built(3)).origin("gold_kpi", "b3")

    assert found.unexplained == ["silver.bars"]
    assert found.offsets == {}


def test_a_task_that_told_of_no_input_explains_nothing() -> None:
    raw, mart = edges.warehouse("common.raw"), edges.warehouse("gold.gold_kpi")
    silent = [*events(1, "load", [Edge(raw, ())])]
    found = Events([*silent, *events(2, "build", [Edge(mart, (raw,), build="b2")])])

    assert found.origin("gold_kpi", "b2").unexplained == [raw.name]


@pytest.mark.parametrize(("mart", "build"), [("gold_movers", "b3"), ("gold_kpi", "by-hand")])
def test_what_no_dag_has_published_is_an_error(mart: str, build: str) -> None:
    with pytest.raises(
        BuildError, match=rf"publishes .*gold\.{mart} with build {build}, found none"
    ):
        Events(built(3)).origin(mart, build)


def test_a_panel_is_its_marts_and_a_mart_is_itself(manifest: None) -> None:
    assert lineage.marts_of("gold_kpi") == ["gold_kpi"]
    assert "gold_candlestick" in lineage.marts_of("market_page")
    with pytest.raises(BuildError, match="market_page"):
        lineage.marts_of("no_such_panel")


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lineage, "folder", lambda: tmp_path)
    monkeypatch.setattr(lineage, "shown", lambda: "b3")
    return tmp_path


def write(path: Path, found: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(one) + "\n" for one in found))


def test_events_put_aside_are_read_too_and_old_ones_go(
    where: Path, manifest: None, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime(2026, 11, 3, tzinfo=UTC)
    write(where / "events-20200101T000000.jsonl", landed(1, 1))
    write(where / "events.jsonl", [*landed(1, 40), *computed(2), *built(3)])

    assert lineage.prune(where, now - timedelta(days=14), now) == 1
    lineage.trace("gold_kpi", report=where / "trace.json")

    assert [path.name for path in where.glob("*.jsonl")] == ["events-20261103T000000.jsonl"]
    found = json.loads((where / "trace.json").read_text())
    assert (found["build_id"], found["marts"][0]["offsets"]) == ("b3", {PLACE: 40})
    assert "offsets 0 to 39" in capsys.readouterr().out


def test_what_cannot_be_traced_is_one_line_and_a_failure(
    where: Path, manifest: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write(where / "events.jsonl", built(3))

    for panel in ("gold_kpi", "gold_movers", "nothing"):
        with pytest.raises(typer.Exit) as left:
            lineage.trace(panel)
        assert left.value.exit_code == 1

    said = capsys.readouterr()
    assert "made by no event that is kept: silver.bars" in said.out
    assert len(said.err.splitlines()) == 2


@pytest.mark.parametrize(
    "broken", ['{"eventType": "COMPLETE", "run', 'no json but COMPLETE: "COMPLETE"']
)
def test_a_broken_line_is_told_with_its_place(where: Path, broken: str) -> None:
    (where / "events.jsonl").write_text(f"{broken}\n")

    with pytest.raises(BuildError, match=r"events\.jsonl:1: expected an event as JSON"):
        list(lineage.read(where))
