"""What tasks say that they move, against the jobs and the project that move it."""

import json
from typing import Any

import pytest

from ingestion.contracts.topics import TOPICS
from ingestion.load.run import LAKE_TARGETS
from orchestration import edges, manifest
from orchestration.words import LAKE_JOBS
from spark_jobs import schemas
from spark_jobs.jobs import anomalies, bars, daily_metrics, window_metrics

METRICS = {
    "bars": bars.METRIC,
    "daily-metrics": daily_metrics.METRIC,
    "window-metrics": window_metrics.METRIC,
    "anomalies": anomalies.METRIC,
}


def named(table: schemas.Table) -> str:
    return f"{table.namespace}.{table.name}"


@pytest.mark.parametrize("job", LAKE_JOBS[1:])
def test_a_metric_is_made_of_the_tables_that_its_job_reads(job: str) -> None:
    metric = METRICS[job]

    [edge] = edges.computed(job)({})

    assert edge.output == edges.lake(named(metric.target))
    assert set(edge.inputs) == {
        edges.lake(named(table)) for table in (metric.source, *metric.beside)
    }


def test_compaction_fills_the_event_tables_of_their_topics() -> None:
    found = {edge.output.name: {one.name for one in edge.inputs} for edge in compacted()}

    tables = (schemas.BARS, schemas.CORPORATE_ACTIONS, schemas.TRADES, schemas.REJECTS)
    assert found == {named(table): set(table.topics) for table in tables}


def compacted() -> list[edges.Edge]:
    return list(edges.computed("compact")({}))


def test_whatever_is_loaded_was_computed_or_landed() -> None:
    computed = {edge.output for edge in edges.computed(*LAKE_JOBS)({})}
    landed = {edges.bronze(topic) for topic in TOPICS}
    quotes = {"common.bronze_stock_quotes_raw": {"ends": {"stock-quotes/aa/0": 12}}}

    found = list(edges.loaded({"targets": quotes}))

    raw = [edge for edge in found if edge.output.namespace.startswith("duckdb://")]
    assert {one for edge in raw for one in edge.inputs} <= computed | landed
    assert {edges.warehouse(table) for table in LAKE_TARGETS.values()} < {e.output for e in raw}
    assert (
        edges.Edge(
            edges.bronze("stock-quotes"), (edges.topic("stock-quotes"),), {"stock-quotes/aa/0": 12}
        )
        in found
    )


def test_every_source_of_the_project_is_loaded_or_the_gate_s_own(manifest: None) -> None:
    targets = {"common.bronze_stock_quotes_raw": {"ends": {}}}
    loaded = {edge.output.name for edge in edges.loaded({"targets": targets})}

    sources = document()["sources"].values()

    names = {f"{one['database']}.{one['schema']}.{one['identifier']}" for one in sources}
    database = next(iter(loaded)).partition(".")[0]
    assert {n for n in names if ".common." in n} == {n for n in loaded if n.startswith(database)}


def test_the_gate_moves_raw_tables_to_marts(manifest: None) -> None:
    found = {edge.output.name.partition(".")[2]: edge for edge in edges.built({"build_id": "b1"})}

    assert {one.name.partition(".")[2] for one in found["gold.daily_stock_metrics"].inputs} >= {
        "common.daily_stock_metrics_raw"
    }
    exposed = {
        key.split(".")[-1]
        for one in document()["exposures"].values()
        for key in one["depends_on"]["nodes"]
    }
    assert {f"gold.{name}" for name in exposed} <= found.keys()
    for edge in edges.published({"build_id": "b1"}):
        [candidate] = edge.inputs
        assert candidate.name == edge.output.name.replace(".gold.", ".gold_candidate.")


def test_openlineage_is_told_what_each_output_was_made_of() -> None:
    told = edges.told(edges.landed({"stock-quotes/aa/1": 40, "stock-market-dlq/bb/0": 0}))

    outputs = {one.name: one.facets for one in told.outputs}
    assert (
        {one.name for one in told.inputs}
        == outputs.keys()
        == {
            "stock-quotes",
            "stock-market-dlq",
        }
    )
    assert outputs["stock-quotes"][edges.ENDS].ends == {"stock-quotes/aa/1": 40}
    [source] = outputs["stock-quotes"][edges.SOURCES].inputs
    assert source["namespace"].startswith("kafka://")


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manifest.path().read_text())
    return found
