"""The main job's stages, from the first record to the reconciliation."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.stages import Stage

Report = Mapping[str, Any]

# All that Spark does shares one session: starting one costs as much as the work of a small day.
LAKE_JOBS = ("compact", "bars", "daily-metrics", "window-metrics", "anomalies")


def produce_bars(*options: str) -> Stage:
    """Return the stage that sends the recorded bars."""
    return Stage("produce bars", ("ingestion", "produce", "recorded", *options), _sent)


def produce_trades(*options: str) -> Stage:
    """Return the stage that sends simulated trades and the quotes polled from them."""
    return Stage("produce trades", ("ingestion", "produce", "simulator", *options), _sent)


def provider_bars(*options: str) -> Stage:
    """Return the stage that asks providers for a year of bars, by fail-over."""
    sources = ("--sources", "yahoo,alphavantage")
    return Stage("produce bars", ("ingestion", "produce", "bars", *sources, *options), _served)


def provider_quotes(*options: str) -> Stage:
    """Return the stage that polls a provider's quotes until it is ended."""
    polling = ("--kind", "quotes", "--every", "2s")
    return Stage("produce quotes", ("ingestion", "produce", "finnhub", *polling, *options), _sent)


def provider_trades(*options: str) -> Stage:
    """Return the stage that listens to a provider's trades until it is ended."""
    streaming = ("ingestion", "produce", "finnhub", "--kind", "trades", *options)
    return Stage("produce trades", streaming, _sent)


def after_produce() -> Sequence[Stage]:
    """Return what follows: landed, compacted, loaded, built and tested, reconciled."""
    return (
        Stage("land", ("ingestion", "drain"), _landed),
        Stage("lake", ("spark_jobs", "run", *LAKE_JOBS), _lake),
        Stage("load", ("ingestion", "load"), _loaded),
        Stage("build", ("dbt_stocks", "build"), _built),
        Stage("reconcile", ("audit",), _reconciled),
    )


def _sent(report: Report) -> str:
    topics = [f"{count['delivered']:,} to {name}" for name, count in report["by_topic"].items()]
    return f"{report['delivered']:,} records confirmed: {', '.join(topics)}"


def _served(report: Report) -> str:
    served = [f"{report.get(f'served_{name}', 0)} by {name}" for name in report["providers"]]
    return f"{_sent(report)}; symbols served: {', '.join(served)}"


def _landed(report: Report) -> str:
    landed = sum(place["landed"] for place in report.values())
    return f"bronze holds {landed:,} records, all that Kafka has"


def _lake(report: Report) -> str:
    jobs = report["jobs"]
    compact = jobs["compact"]
    written = sum(rows for job in jobs.values() for rows in job["written"].values())
    return (
        f"{compact['read']:,} records read, {written:,} rows written, "
        f"{compact['duplicates']:,} duplicates set aside"
    )


def _loaded(report: Report) -> str:
    return f"{report['rows']:,} rows of {report['files']:,} files"


def _built(report: Report) -> str:
    return (
        f"{report['models']} models, {report['tests_passed']} tests passed, "
        f"{report['tests_warned']} warned; published as {report['build_id']}"
    )


def _reconciled(report: Report) -> str:
    return f"{report['verdict']}: {len(report['checks'])} checks, {total(report, 'gap')} gaps"


def total(verdict: Report, column: str) -> int:
    """Return a column's sum over the reconciliation table's partitions."""
    return sum(row[column] or 0 for row in verdict["table"])
