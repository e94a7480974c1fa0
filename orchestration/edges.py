"""What a task moves from where to where, as OpenLineage has it: told by tasks, traced by `lineage`.

Names are those of OpenLineage's naming specification (openlineage.io/docs/spec/naming); tables of
the warehouse are called as Cosmos calls them. A task moves several things at once: the facet
``tapehouse_sources`` says which inputs an output was made of, ``tapehouse_ends`` where bronze ends,
``tapehouse_build`` with which build a mart was published.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ingestion.contracts.topics import BATCH, QUOTES, REALTIME, TOPICS
from ingestion.settings import KafkaSettings, SnowflakeSettings, StoreSettings, WarehouseSettings
from orchestration import manifest

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset

    Told = OperatorLineage[Any, Any]

SOURCES: Final = "tapehouse_sources"
ENDS: Final = "tapehouse_ends"
BUILD: Final = "tapehouse_build"
GOLD: Final = "gold"
_PRODUCER: Final = "tapehouse"

# Job of the lake to its tables, and each table to the topics or tables that it is made of.
_EVENTS: Final = ("silver.bars", "silver.corporate_actions", "silver.trades")
_LAKE: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "compact": {
        "silver.bars": (BATCH,),
        "silver.corporate_actions": (BATCH,),
        "silver.trades": (REALTIME,),
        "silver.rejects": (BATCH, REALTIME),
    },
    "bars": {"metrics.trade_bars": ("silver.trades",)},
    "daily-metrics": {"metrics.daily_stock_metrics": ("silver.bars",)},
    "window-metrics": {"metrics.realtime_stock_analytics": ("silver.trades",)},
    "anomalies": {"metrics.anomalies": _EVENTS},
}


@dataclass(frozen=True)
class Node:
    """A dataset: a topic, a topic's objects, a table of the lake or of the warehouse."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Edge:
    """An output and what it was made of.

    ``ends`` are offsets by topic/generation/partition, of bronze; ``build`` is the id of the build
    that a mart was published with.
    """

    output: Node
    inputs: tuple[Node, ...]
    ends: Mapping[str, int] = field(default_factory=dict)
    build: str = ""


Report = Mapping[str, Any]
# What a task has moved, by what its command reported.
Edges = Callable[[Report], Iterable[Edge]]


def topic(name: str) -> Node:
    """Return a topic of Kafka."""
    return Node(f"kafka://{KafkaSettings.load().servers().partition(',')[0]}", name)


def bronze(name: str) -> Node:
    """Return a topic's objects in bronze."""
    return Node(f"s3://{StoreSettings.load().bronze_bucket}", name)


def lake(table: str) -> Node:
    """Return a table of the lake, named as ``silver.bars``."""
    return Node(f"s3://{StoreSettings.load().lake_bucket}", table)


def warehouse(table: str) -> Node:
    """Return a table of the warehouse, named as ``gold.gold_kpi``."""
    settings = WarehouseSettings.load()
    if settings.engine == "snowflake":
        account = SnowflakeSettings.load()
        return Node(f"snowflake://{account.account_name()}", f"{account.database}.{table}")
    return Node(f"duckdb://{settings.file()}", f"{settings.file().stem}.{table}")


def landed(report: Report) -> list[Edge]:
    """Return what the lander has moved; the report is offsets by topic/generation/partition."""
    return [
        Edge(bronze(name), (topic(name),), ends)
        for name in TOPICS
        if (ends := {at: end for at, end in report.items() if at.startswith(f"{name}/")})
    ]


def computed(*jobs: str) -> Edges:
    """Return what jobs of the lake move."""
    tables = {table: made_of for job in jobs for table, made_of in _LAKE[job].items()}
    return lambda _report: [
        Edge(lake(table), tuple(bronze(n) if n in TOPICS else lake(n) for n in made_of))
        for table, made_of in tables.items()
    ]


def loaded(report: Report) -> list[Edge]:
    """Return what the load moves: quotes from bronze, the rest from the lake."""
    from ingestion.load.run import LAKE_TARGETS, QUOTES_TARGET  # half a second, and DAGs import us

    rejects = QUOTES_TARGET.replace("_raw", "_rejects")
    quotes = [Edge(warehouse(table), (bronze(QUOTES),)) for table in (QUOTES_TARGET, rejects)]
    tables = [Edge(warehouse(raw), (lake(table),)) for table, raw in LAKE_TARGETS.items()]
    return [*landed(report["targets"][QUOTES_TARGET]["ends"]), *quotes, *tables]


def published(report: Report) -> list[Edge]:
    """Return what publishing moves: each mart from the candidate to gold."""
    return [
        _mart(name, [f"{schema}.{name}"], report) for name, schema in _marts(_manifest()).items()
    ]


def built(report: Report) -> list[Edge]:
    """Return what the gate moves in one command: raw tables to marts."""
    found = _manifest()
    return [_mart(name, _raw_of(found, name), report) for name in _marts(found)]


def _mart(name: str, made_of: Iterable[str], report: Report) -> Edge:
    inputs = tuple(warehouse(table) for table in made_of)
    return Edge(warehouse(f"{GOLD}.{name}"), inputs, build=report["build_id"])


def told(edges: Iterable[Edge]) -> "Told":
    """Return edges as Airflow's OpenLineage provider takes them from an operator."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    found = list(edges)
    inputs = dict.fromkeys(one for edge in found for one in edge.inputs)
    return OperatorLineage(
        inputs=[_input(one) for one in inputs], outputs=[_output(edge) for edge in found]
    )


def _input(node: Node) -> "InputDataset":
    from openlineage.client.event_v2 import InputDataset

    return InputDataset(namespace=node.namespace, name=node.name)


def _output(edge: Edge) -> "OutputDataset":
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import DatasetFacet

    sources = [{"namespace": one.namespace, "name": one.name} for one in edge.inputs]
    facets: dict[str, Any] = {
        SOURCES: DatasetFacet(producer=_PRODUCER).with_additional_properties(inputs=sources)
    }
    if edge.build:
        build = DatasetFacet(producer=_PRODUCER).with_additional_properties(build_id=edge.build)
        facets[BUILD] = build
    if edge.ends:
        ends = DatasetFacet(producer=_PRODUCER).with_additional_properties(ends=dict(edge.ends))
        facets[ENDS] = ends
    return OutputDataset(namespace=edge.output.namespace, name=edge.output.name, facets=facets)


def _manifest() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manifest.path().read_text())
    return found


def _marts(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the schema of the candidate by the name of each mart."""
    nodes = found["nodes"].values()
    return {
        node["name"]: node["schema"]
        for node in nodes
        if node["resource_type"] == "model" and node["fqn"][1] == GOLD
    }


def _raw_of(found: Mapping[str, Any], mart: str) -> list[str]:
    """Return the raw tables and seeds that a mart is made of in the end."""
    [first] = [key for key, node in found["nodes"].items() if _is_model(node, mart)]
    seen, open_ = set[str](), [first]
    while open_:
        key = open_.pop()
        if key not in seen:
            seen.add(key)
            open_ += found["parent_map"][key]
    tables = [found["sources"].get(key) or found["nodes"][key] for key in seen]
    return sorted(
        f"{one['schema']}.{one.get('identifier') or one['name']}"
        for one in tables
        if one["resource_type"] in ("source", "seed")
    )


def _is_model(node: Mapping[str, Any], name: str) -> bool:
    return bool(node["resource_type"] == "model" and node["name"] == name)
