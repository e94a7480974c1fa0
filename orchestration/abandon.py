"""Put the candidate back to published gold after models of a run have failed.

``python -m orchestration.abandon --reason TEXT``. A failing gate command does that by itself; a run
that builds model by model ends before any gate command, and the next one would go on from rows
that failed their tests.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dbt_stocks import books
from dbt_stocks.place import Place, new_build_id
from ingestion.cli import write_report
from ingestion.clock import SystemClock
from ingestion.errors import TapehouseError


def abandon(reason: str) -> str:
    """Restore the candidate, and note the failed build in ``ops.builds``; return its id.

    Raises:
        BuildError: the warehouse cannot be opened or written; nothing was restored.
        WarehouseLockedError: another process holds the warehouse for too long.
    """
    place, clock = Place.load(), SystemClock()
    build_id = new_build_id(clock)
    with place.held(_say), place.warehouse.opened() as gold:
        gold.take(build_id)
        for line in gold.heal():
            _say(line)
        books.begin(gold.db, build_id, clock.now())
        gold.settle(build_id, reason, clock.now())
        gold.give_back()
    return build_id


def main(
    reason: Annotated[str, typer.Option(help="Noted in ops.builds.")],
    report: Annotated[Path | None, typer.Option(help="Write the build's id here, as JSON.")] = None,
) -> None:
    """Put the candidate back to what is published."""
    try:
        build_id = abandon(reason)
    except (TapehouseError, OSError) as error:
        _say(f"error: {error}")
        sys.exit(1)
    if report is not None:
        write_report(report, {"build_id": build_id, "reason": reason})
    typer.echo(f"build {build_id} has failed; the candidate is what is published")


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    typer.run(main)
