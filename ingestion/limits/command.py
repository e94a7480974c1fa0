"""The command ``python -m ingestion budget``."""

from typing import Annotated

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from ingestion.clock import SystemClock
from ingestion.limits.limit import microseconds
from ingestion.limits.overview import AccountState, LimitState, overview
from ingestion.settings import LimitsSettings, ProjectSettings


def budget(
    json: Annotated[bool, typer.Option("--json", help="Machine-readable, one document.")] = False,
) -> None:
    """Show what is left of each provider's budget, what holds it, and the circuit breakers."""
    folder = ProjectSettings.load().state("limits")
    found = overview(folder, LimitsSettings.load(), microseconds(SystemClock().now()))
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        Console().print(_table(found))


def _table(accounts: list[AccountState]) -> Table:
    table = Table(box=box.SIMPLE)
    for name in ("provider", "key", "limit"):
        table.add_column(name, overflow="fold")
    for name in ("used", "left"):
        table.add_column(name, justify="right")
    for name in ("next free", "state"):
        table.add_column(name, overflow="fold")
    for account in accounts:
        for number, limit in enumerate(account.limits):
            table.add_row(*_row(account, limit, is_first=number == 0))
    return table


def _row(account: AccountState, limit: LimitState, *, is_first: bool) -> tuple[str, ...]:
    who = f"{account.provider} {account.host}".strip() if is_first else ""
    key = (account.key_hash or "none") if is_first else ""
    free_at = limit.free_at or "now"
    numbers = str(limit.used), str(limit.left)
    return who, key, limit.limit, *numbers, free_at, _state(account) if is_first else ""


def _state(account: AccountState) -> str:
    parts = []
    if account.held_until:
        parts.append(f"held until {account.held_until} (refused: {account.held_for})")
    if account.tried_at:
        parts.append(f"circuit {account.breaker}, tried again {account.tried_at}")
    elif account.failures:
        parts.append(f"{account.failures} failures in a row")
    return "; ".join(parts)
