"""From a panel of a screen back to Kafka's offsets, by the OpenLineage events of the runs.

``python -m orchestration.lineage PANEL`` reads what tasks told (`edges`) and Cosmos told of each
model. What a task read is what was there when it began: the newest event that had made it by then,
in whichever run that was.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from dbt_stocks.reader import GoldReader
from ingestion.cli import write_report
from ingestion.errors import BuildError, TapehouseError
from ingestion.settings import ProjectSettings, WarehouseSettings
from orchestration import manifest
from orchestration.edges import BUILD, ENDS, GOLD, SOURCES, Node, warehouse

_EVENTS: Final = "events.jsonl"
_ASIDE: Final = "events-{:%Y%m%dT%H%M%S}.jsonl"
_KAFKA: Final = "kafka://"
# Tables that no task makes of others: the gate's own books, and what is in the repository.
_OWN: Final = ("ops.", "reference.")


@dataclass(frozen=True)
class Made:
    """A dataset made by a task of a run, of what; ``ends`` where it is bronze, ``build`` a mart.

    ``task`` is OpenLineage's id of the try, ``began`` and ``at`` are when it began and ended.
    """

    node: Node
    task: str
    began: datetime
    at: datetime
    run: str
    inputs: tuple[Node, ...]
    ends: Mapping[str, int] = field(default_factory=dict)
    build: str = ""


@dataclass
class Origin:
    """What a mart is made of: the run that published it, tables on the way, offsets in the end.

    ``offsets`` are those behind the last record, by topic/generation/partition: all below are in.
    ``unexplained`` are datasets that no kept event makes.
    """

    mart: str
    published_at: datetime
    run: str
    tables: list[str] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)


class Events:
    """What made each dataset, oldest first."""

    def __init__(self, events: Iterable[Mapping[str, Any]]) -> None:
        self._made: dict[Node, list[Made]] = {}
        found = list(events)
        began = {one["run"]["runId"]: _time(one) for one in found if one["eventType"] == "START"}
        ended = sorted((one for one in found if one["eventType"] == "COMPLETE"), key=_time)
        for one in (made for event in ended for made in _made(event, began)):
            self._made.setdefault(one.node, []).append(one)

    def origin(self, mart: str, build_id: str) -> Origin:
        """Return where a mart comes from as a build published it.

        Raises:
            BuildError: no event publishes it: the build is older than the events, or by hand.
        """
        node = warehouse(f"{GOLD}.{mart}")
        made = [one for one in self._made.get(node, ()) if one.build == build_id]
        if not made:
            raise BuildError(
                f"expected an event that publishes {node.name} with build {build_id}, found none: "
                "no DAG published it, or so long ago that its events are gone"
            )
        published = made[-1]
        found = Origin(mart, published.at, published.run)
        self._follow(published, found, {node})
        found.tables.sort()
        found.unexplained.sort()
        return found

    def _follow(self, made: Made, found: Origin, seen: set[Node]) -> None:
        for node in made.inputs:
            if node in seen or node.namespace.startswith(_KAFKA):
                continue
            seen.add(node)
            found.tables.append(node.name)
            before = self._read_by(made, node)
            if before and (before[-1].inputs or _is_own(node)):
                found.offsets |= _ends(before)
                self._follow(before[-1], found, seen)
            elif not _is_own(node):
                found.unexplained.append(node.name)

    def _read_by(self, reader: Made, node: Node) -> list[Made]:
        """Return the events that had made a dataset when its reader read it, oldest first.

        A task of several jobs reads what it has made itself.
        """
        made = self._made.get(node, ())
        return [one for one in made if one.at <= reader.began or one.task == reader.task]


def folder() -> Path:
    """Return where the events are."""
    return ProjectSettings.load().state("airflow", "lineage")


def shown() -> str:
    """Return the id of the build that screens are shown now.

    Raises:
        BuildError: none is published.
    """
    with GoldReader(WarehouseSettings.load().published()) as reader:
        return reader.build_id()


def read(where: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of tasks that began, and of those that ended well.

    Raises:
        BuildError: there are none, or a line is no event.
    """
    files = sorted(where.glob("events*.jsonl"))
    if not files:
        raise BuildError(f"expected OpenLineage events in {where}, found none: has a DAG run yet?")
    for path in files:
        with path.open() as lines:
            for number, line in enumerate(lines, 1):
                if '"COMPLETE"' in line or '"START"' in line:
                    yield _event(line, path, number)


def marts_of(panel: str) -> list[str]:
    """Return the marts behind an exposure, or the mart of that name.

    Raises:
        BuildError: the project has neither.
    """
    found = json.loads(manifest.path().read_text())
    panels = {
        one["name"]: [key.rpartition(".")[2] for key in one["depends_on"]["nodes"]]
        for one in found["exposures"].values()
    }
    marts = sorted({mart for marts in panels.values() for mart in marts})
    if panel in marts:
        return [panel]
    if panel not in panels:
        names = ", ".join(sorted(panels))
        raise BuildError(f"expected a panel ({names}) or one of their marts, found {panel!r}")
    return sorted(panels[panel])


def trace(
    panel: Annotated[str, typer.Argument(help="An exposure of the dbt project, or a mart.")],
    report: Annotated[Path | None, typer.Option(help="Write it here too, as JSON.")] = None,
) -> None:
    """Show, for each mart of a panel, the run that published what is shown, and its offsets.

    Exits 1 where something on the way is made by no event.
    """
    try:
        marts, build_id = marts_of(panel), shown()
        events = Events(read(folder()))
        found = [events.origin(mart, build_id) for mart in marts]
    except (TapehouseError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    for one in found:
        _show(one)
    if report is not None:
        rows = [asdict(one) | {"published_at": str(one.published_at)} for one in found]
        write_report(report, {"panel": panel, "build_id": build_id, "marts": rows})
    if any(one.unexplained for one in found):
        raise typer.Exit(1)


def prune(where: Path, before: datetime, now: datetime) -> int:
    """Put the events so far aside, and remove those put aside before; return how many files."""
    current = where / _EVENTS
    if current.is_file():
        current.rename(where / _ASIDE.format(now))  # whoever writes opens it for each event
    old = [path for path in where.glob("events-*.jsonl") if path.name < _ASIDE.format(before)]
    for path in old:
        path.unlink()
    return len(old)


def _event(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError as error:
        raise BuildError(f"{path}:{number}: expected an event as JSON, found {error}") from error
    return found


def _made(event: Mapping[str, Any], began: Mapping[str, datetime]) -> Iterator[Made]:
    at, run = _time(event), _run(event)
    task = event["run"]["runId"]
    since = began.get(task, at)
    every = [_node(one) for one in event["inputs"]]
    for output in event["outputs"]:
        node, facets = _node(output), output.get("facets", {})
        told = facets.get(SOURCES)
        inputs = [_node(one) for one in told["inputs"]] if told else every
        ends = facets.get(ENDS, {}).get("ends", {})
        build = facets.get(BUILD, {}).get("build_id", "")
        # A model's tests read it: that makes it no source of itself.
        yield Made(
            node, task, since, at, run, tuple(one for one in inputs if one != node), ends, build
        )


def _ends(made: Iterable[Made]) -> dict[str, int]:
    """Return how far a topic's bronze went: each event tells of some partitions."""
    found: dict[str, int] = {}
    for one in made:
        found |= {at: max(end, found.get(at, 0)) for at, end in one.ends.items()}
    return found


def _run(event: Mapping[str, Any]) -> str:
    run = event["run"]["facets"].get("airflow", {}).get("dagRun", {}).get("run_id", "")
    return f"{event['job']['name'].partition('.')[0]} {run}".strip()


def _node(dataset: Mapping[str, str]) -> Node:
    return Node(dataset["namespace"], dataset["name"])


def _time(event: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(event["eventTime"])


def _is_own(node: Node) -> bool:
    return node.name.partition(".")[2].startswith(_OWN)


def _show(one: Origin) -> None:
    typer.echo(f"{one.mart}: published by {one.run} at {one.published_at:%Y-%m-%d %H:%M:%S} UTC")
    typer.echo(f"  through {_list(one.tables)}")
    for place, end in sorted(one.offsets.items()):
        typer.echo(f"  {place}: " + (f"offsets 0 to {end - 1}" if end else "nothing yet"))
    if one.unexplained:
        typer.echo(f"  made by no event that is kept: {_list(one.unexplained)}")


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


if __name__ == "__main__":
    typer.run(trace)
