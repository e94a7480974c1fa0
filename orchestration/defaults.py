"""What all DAGs share: retries, time limits, alerts, pools, assets, and their own parameters."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airflow.sdk import Asset, AssetWatcher, Param
from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert

from ingestion.contracts.topics import QUOTES
from orchestration import alerts
from orchestration.deadlines import Queued
from orchestration.watch import BronzeWatch

WRITER: Final = "duckdb_writer"
SPARK: Final = "spark"
PROVIDER: Final = "provider"

BRONZE_READY: Final = Asset("bronze_ready", uri="tapehouse://bronze/ready")
QUOTES_LANDED: Final = Asset(
    "quotes_landed",
    uri="tapehouse://bronze/quotes",
    watchers=[AssetWatcher(name="bronze", trigger=BronzeWatch(QUOTES))],
)
GOLD_PUBLISHED: Final = Asset("gold_published", uri="tapehouse://gold/published")

# What batch runs need of the stack; a screen or a monitor that is down keeps none from running.
SERVICES: Final = ("kafka", "store", "lander")
# The one DAG that builds model by model.
BATCH_DAG: Final = "stock_market_batch_pipeline"
# Topic of the trades, and the lake's table of them.
TRADES: Final = ("stock-market-realtime", "silver.trades")

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
# All but those of Airflow's own backfill, which run beside the one that `max_active_runs` allows:
# the DAG `backfill` is for past sessions.
RUN_TYPES: Final = frozenset(DagRunType) - {DagRunType.BACKFILL}
MODEL_TIMEOUT: Final = timedelta(minutes=20)
# Its three exit codes that are no verdict of violation: see `python -m audit --help`.
AUDIT_UNKNOWN: Final = 2

DEFAULT_ARGS: Final[dict[str, Any]] = {
    "owner": "tapehouse",
    # Spent on what may pass only: a store that is away, a lock, a worker that was killed.
    "retries": 3,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=5),
    "execution_timeout": timedelta(minutes=30),
    "on_failure_callback": alerts.failed,
}


def deadline(within: timedelta) -> DeadlineAlert:
    """Return the alert on a run that has not ended in time after it was queued."""
    minutes = within.total_seconds() / 60
    return DeadlineAlert(
        reference=Queued(),
        interval=within,
        callback=AsyncCallback(alerts.late, kwargs={"minutes": minutes}),
    )


def params(*, has_range: bool = False) -> dict[str, Param]:
    """Return the form of a run: whom to ask, for which sessions and symbols.

    ``has_range``: the sessions must be given; otherwise they are those of the run's own interval.
    """
    kind: Any = "string" if has_range else ["null", "string"]
    default = {} if has_range else {"default": None}
    return {
        "start": Param(**default, type=kind, format="date", title="First session"),
        "end": Param(**default, type=kind, format="date", title="Last session, included"),
        "provider": Param(
            "configured",
            type="string",
            enum=["configured", "bars", "yahoo", "alphavantage", "recorded"],
            title="Provider",
            description="configured: what the variable tapehouse_provider says",
        ),
        "symbols": Param(
            [],
            type="array",
            items={"type": "string", "pattern": "^[A-Z][A-Z0-9.-]{0,9}$"},
            title="Symbols, one a line; the ten default ones without",
        ),
    }
