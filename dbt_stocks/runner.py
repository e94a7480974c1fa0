"""dbt in this process, its results as plain records."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from ingestion.cli import one_line
from ingestion.errors import BuildError

PROJECT = Path(__file__).resolve().parent
# dbt's name of the source of all that is loaded.
_RAW = "common"
# dbt's words for what went well; `warn` informs and stops nothing.
_GOOD = frozenset({"success", "pass", "warn", "no-op"})


@dataclass(frozen=True)
class NodeResult:
    """What became of one model, seed or test; ``failures`` is a failed test's row count.

    A test has besides: the model that it judges, its kind (``singular`` when written for its case),
    its severity (``error`` or ``warn``), and the dimension of quality that it names itself.
    """

    name: str
    kind: str
    status: str
    failures: int | None
    message: str
    model: str = ""
    test_kind: str = ""
    severity: str = ""
    dimension: str | None = None

    @property
    def is_bad(self) -> bool:
        """Whether it stops the build; a skipped node stopped because another one failed."""
        return self.status not in _GOOD

    def line(self) -> str:
        """Return one line for people: what failed, and how many rows say so."""
        rows = f", {self.failures} failing rows" if self.kind == "test" and self.failures else ""
        return f"{self.status} {self.kind} {self.name}{rows}: {one_line(self.message)}"


@dataclass(frozen=True)
class Invocation:
    """The results of one dbt command and the marts that the project has."""

    results: list[NodeResult] = field(default_factory=list)

    @property
    def bad(self) -> list[NodeResult]:
        """What failed, causes before what was skipped because of them."""
        return sorted((r for r in self.results if r.is_bad), key=lambda r: r.status == "skipped")

    def count(self, kind: str, *statuses: str) -> int:
        """Return how many nodes of a kind ended with one of the statuses."""
        return sum(r.kind == kind and r.status in statuses for r in self.results)


class Dbt:
    """dbt in this process, on the whole project, which is parsed once for all commands.

    Logs and artifacts go below ``state``. ``variables`` are environment variables: dbt's ``--vars``
    would make it parse everything again.
    """

    def __init__(self, state: Path, variables: dict[str, str]) -> None:
        """Prepare commands; the first one parses the project."""
        self._state = state
        self._variables = variables
        self._manifest: Manifest | None = None

    def invoke(self, command: str, arguments: Sequence[str] = ()) -> Invocation:
        """Run a command and return what became of each node.

        Raises:
            BuildError: dbt could not run the command at all.
        """
        self._parsed()
        found = self._run(command, arguments)
        return Invocation([_result(one) for one in getattr(found, "results", [])])

    def table_parents(self) -> dict[str, set[str]]:
        """Return the tables and seeds, each with those it stands on; views are passed through.

        Raises:
            BuildError: dbt could not read the project.
        """
        nodes = self._parsed().nodes
        tables = {name: node for name, node in nodes.items() if _is_table(node)}
        return {node.name: _standing_on(node, nodes) for node in tables.values()}

    def relations(self, schema: str) -> set[str]:
        """Return the names of the models that are made in a schema.

        Raises:
            BuildError: dbt could not read the project.
        """
        nodes: dict[str, Any] = dict(self._parsed().nodes)
        return {
            node.name
            for node in nodes.values()
            if node.resource_type == "model" and node.schema == schema
        }

    def raw_tables(self) -> dict[str, set[str]]:
        """Return the raw tables, as schema.name, that each table's rows come from.

        Raises:
            BuildError: dbt could not read the project.
        """
        manifest = self._parsed()
        raw = {
            name: f"{source.schema}.{source.identifier}"
            for name, source in manifest.sources.items()
            if source.source_name == _RAW
        }
        tables = {name: node for name, node in manifest.nodes.items() if _is_table(node)}
        return {
            node.name: {raw[found] for found in _ancestors(name, manifest.nodes) if found in raw}
            for name, node in tables.items()
        }

    def _parsed(self) -> Manifest:
        if self._manifest is None:
            found: Manifest = self._run("parse", ())
            self._manifest = found
        return self._manifest

    def _run(self, command: str, arguments: Sequence[str]) -> Any:  # noqa: ANN401 - dbt's own results
        given = [
            command,
            *arguments,
            *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
            *("--target-path", str(self._state / "target")),
            *("--log-path", str(self._state / "logs")),
            *("--log-level", "none", "--log-level-file", "info"),
            # Writing the manifest twice takes a second; `dbt parse` makes it for those who need it.
            "--no-write-json",
        ]
        before = {name: os.environ.get(name) for name in self._variables}
        os.environ.update(self._variables)
        try:
            outcome = dbtRunner(manifest=self._manifest).invoke(given)
        finally:
            _close_connections()
            _restore(before)
        if outcome.exception is not None:
            said = _first_line(outcome.exception)
            raise BuildError(f"dbt {command}: {said}") from outcome.exception
        return outcome.result


def _is_table(node: Any) -> bool:  # noqa: ANN401 - dbt's node classes carry no types
    is_model = node.resource_type == "model" and node.config.materialized != "view"
    return bool(is_model or node.resource_type == "seed")


def _standing_on(node: Any, nodes: Mapping[str, Any]) -> set[str]:  # noqa: ANN401
    found: set[str] = set()
    for parent in (nodes[name] for name in _read_by(node) if name in nodes):
        if _is_table(parent):
            found.add(parent.name)
        elif parent.resource_type == "model":
            found |= _standing_on(parent, nodes)
    return found


def _ancestors(name: str, nodes: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        parents = set(_read_by(nodes[todo.pop()])) - found
        found |= parents
        todo += [parent for parent in parents if parent in nodes]
    return found


def _read_by(node: Any) -> list[str]:  # noqa: ANN401
    # A seed's dependencies are macros alone.
    return getattr(node.depends_on, "nodes", [])


def _result(found: Any) -> NodeResult:  # noqa: ANN401 - dbt's result classes carry no types
    node = found.node
    given: dict[str, Any] = {}
    if node.resource_type == "test":
        # A test that stands under no model judges the first one that it names.
        judged = getattr(node, "attached_node", None) or next(iter(node.depends_on.nodes), "")
        given = {
            "model": judged.rpartition(".")[2],
            "test_kind": node.test_metadata.name if hasattr(node, "test_metadata") else "singular",
            "severity": str(node.config.severity).lower(),
            "dimension": node.config.meta.get("dimension"),
        }
    return NodeResult(
        name=node.name,
        kind=str(node.resource_type),
        status=str(found.status),
        failures=found.failures,
        message=str(found.message or ""),
        **given,
    )


def _close_connections() -> None:
    """Close the file that dbt keeps open between commands; the gate opens it for itself."""
    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager._ENV.close()
        DuckDBConnectionManager._ENV = None


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]
