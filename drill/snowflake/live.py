"""An acceptance from its stack to the teardown, told and reported."""

import os
from pathlib import Path

import typer

from drill.outcome import Outcome, Reports
from drill.snowflake import account
from drill.snowflake.acceptance import (
    BEYOND_THE_EMULATOR,
    NOT_EXERCISED,
    PARTS,
    TEARDOWN,
    World,
    played,
)
from drill.stack import own_stack
from infra.local.services import SERVICES
from ingestion.settings import ProjectSettings, SnowflakeSettings


def run(keep: bool, report: Path | None) -> str:
    """Play all parts on the account that is configured and return the verdict, green or red.

    Raises:
        SettingsError: the database is no scratch one, or something is not set; nothing was asked.
        SnowflakeError: the administrator's login is refused; StackError: the stack does not start.
    """
    settings = SnowflakeSettings.load()
    account.require_scratch(settings)
    folder = ProjectSettings.load().state("drill", "snowflake").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    reports = Reports.fresh(folder, report, "parts")
    reports.write([], "incomplete")
    with own_stack(folder / "stack", SERVICES):
        # Only now: a stack of its own begins without the settings of this process.
        os.environ.update(account.variables(settings, folder / "stack" / "keys"))
        world = World(SnowflakeSettings.load(), folder / "stack")
        outcomes = _all(world, keep)
    verdict = "red" if any(one.verdict == "red" for one in outcomes) else "green"
    reports.write(outcomes, verdict)
    _conclude(world.settings, outcomes, verdict)
    return verdict


def _all(world: World, keep: bool) -> list[Outcome]:
    outcomes: list[Outcome] = []
    try:
        outcomes = played(world, PARTS, typer.echo)
    finally:  # Ctrl-C too: what is left there costs
        if keep:
            typer.echo(f"{world.settings.database} is kept, its warehouses sleep")
        else:
            outcomes += played(world, [TEARDOWN], typer.echo)
    return outcomes


def _conclude(settings: SnowflakeSettings, outcomes: list[Outcome], verdict: str) -> None:
    lacking = sum(one.verdict == NOT_EXERCISED for one in outcomes)
    if account.is_emulated(settings):
        typer.echo("this was the emulator; beyond the parts told above it does not show:")
        for line in BEYOND_THE_EMULATOR:
            typer.echo(f"  {NOT_EXERCISED}: {line}")
    seconds = sum(one.seconds for one in outcomes)
    told = f", {lacking} parts {NOT_EXERCISED}" if lacking else ""
    typer.echo(f"{verdict} after {seconds:.0f} s{told}")
