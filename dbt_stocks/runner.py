"""dbt in this process, its results as plain records."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from ingestion.errors import BuildError

PROJECT = Path(__file__).resolve().parent
# dbt's words for what went well; `warn` informs and stops nothing.
_GOOD = frozenset({"success", "pass", "warn", "no-op"})
GOLD_SCHEMA = "gold_candidate"


@dataclass(frozen=True)
class NodeResult:
    """What became of one model, seed or test; ``failures`` is a failed test's row count."""

    name: str
    kind: str
    status: str
    failures: int | None
    message: str

    @property
    def is_bad(self) -> bool:
        """Whether it stops the build; a skipped node stopped because another one failed."""
        return self.status not in _GOOD

    def line(self) -> str:
        """Return one line for people: what failed, and how many rows say so."""
        rows = f", {self.failures} failing rows" if self.kind == "test" and self.failures else ""
        return f"{self.status} {self.kind} {self.name}{rows}: {self.message.partition(chr(10))[0]}"


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


def invoke(
    command: str, arguments: Sequence[str], state: Path, variables: dict[str, str]
) -> Invocation:
    """Run a dbt command on the whole project; logs and artifacts go below ``state``.

    ``variables`` are environment variables: dbt's ``--vars`` would make it parse everything again.

    Raises:
        BuildError: dbt could not run the command at all.
    """
    given = [
        command,
        *arguments,
        *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
        *("--target-path", str(state / "target"), "--log-path", str(state / "logs")),
        *("--log-level", "none", "--log-level-file", "info"),
        # Writing the manifest twice takes a second; `dbt parse` makes it for those who need it.
        "--no-write-json",
    ]
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        outcome = dbtRunner().invoke(given)
    finally:
        _close_connections()
        _restore(before)
    if outcome.exception is not None:
        raise BuildError(f"dbt {command}: {_first_line(outcome.exception)}") from outcome.exception
    return Invocation([_result(found) for found in getattr(outcome.result, "results", [])])


def _result(found: Any) -> NodeResult:  # noqa: ANN401 - dbt's result classes carry no types
    return NodeResult(
        name=found.node.name,
        kind=str(found.node.resource_type),
        status=str(found.status),
        failures=found.failures,
        message=str(found.message or ""),
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
