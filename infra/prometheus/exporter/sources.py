"""The sources of this checkout's settings."""

from infra.prometheus.exporter.bronze import Chains
from infra.prometheus.exporter.files import Budgets, Disk, Jobs, Spools, Verdict
from infra.prometheus.exporter.kafka import Cluster, Logs
from infra.prometheus.exporter.market import Market, SessionClock
from infra.prometheus.exporter.newest import Freshness
from infra.prometheus.exporter.source import Source
from ingestion import calendar
from ingestion.clock import Clock
from ingestion.load.bronze import Bronze, store_client
from ingestion.settings import (
    KafkaSettings,
    LimitsSettings,
    ProduceSettings,
    ProjectSettings,
    StoreSettings,
    WarehouseSettings,
)


def sources(clock: Clock) -> list[Source]:
    """Return every source; nothing is connected yet.

    Of Snowflake neither books nor gold are read: every scrape would keep a warehouse running that
    is billed by the second. Its own usage views and the orchestrator's alerts tell of those.

    Raises:
        SettingsError: the auditor's or the loader's credentials are not set.
    """
    project, store = ProjectSettings.load(), StoreSettings.load()
    warehouse, produce = WarehouseSettings.load(), ProduceSettings.load()
    sessions = SessionClock(calendar.get(project.calendar))
    freshness = Freshness(clock, sessions)
    cluster = Cluster(KafkaSettings.load())
    spools = [project.state("spool"), *([spool] if (spool := produce.spool()) else [])]
    found: list[Source] = [
        Market(clock, sessions),
        Logs(cluster, freshness),
        Chains(Bronze(store_client(store), store.bronze_bucket), cluster.topics, freshness),
        Verdict(project.state("audit", "verdict.json")),
        Jobs(project.state("metrics")),
        Spools(spools),
        Budgets(project.state("limits"), LimitsSettings.load(), clock),
        Disk(project.state()),
    ]
    return found + (_embedded(warehouse, freshness) if warehouse.engine == "duckdb" else [])


def _embedded(settings: WarehouseSettings, freshness: Freshness) -> list[Source]:
    # DuckDB is loaded for nothing where the warehouse is Snowflake.
    from dbt_stocks.reader import GoldReader
    from infra.prometheus.exporter.gold import Gold
    from infra.prometheus.exporter.warehouse import Books

    return [Books(settings, freshness), Gold(GoldReader(settings.published()), freshness)]
