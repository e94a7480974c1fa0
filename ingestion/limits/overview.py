"""What is left of every budget, for who only looks."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from ingestion.clock import rfc3339
from ingestion.limits.circuit import Circuit
from ingestion.limits.file import reading
from ingestion.limits.guards import budget_of
from ingestion.limits.limit import BUDGETS, Limit, moment_of
from ingestion.limits.rows import state_of, used, wait_for
from ingestion.settings import LimitsSettings


class LimitState(Struct, frozen=True):
    """One limit now; ``free_at`` is the earliest moment for a request, None for now.

    A refusal's hold and an open circuit are in it.
    """

    limit: str
    used: int
    left: int
    free_at: str | None


class AccountState(Struct, frozen=True):
    """One provider and key; ``key_hash`` is empty without a key, ``host`` until it was asked.

    ``held_until`` is when a refusal ends, ``tried_at`` when an open circuit is tried again.
    """

    provider: str
    host: str
    key_hash: str
    limits: list[LimitState]
    held_until: str | None = None
    held_for: str | None = None
    breaker: str = "closed"
    failures: int = 0
    tried_at: str | None = None


def overview(folder: Path, settings: LimitsSettings, now: int) -> list[AccountState]:
    """Return every account that was ever used, and every provider that was not.

    Raises:
        LimitsError: the file of budgets cannot be read.
        SettingsError: a configured budget is malformed.
    """
    with reading(folder) as db:
        found = [] if db is None else list(_accounts(db, settings, now))
    unused = sorted(set(BUDGETS) - {account.provider for account in found})
    return sorted(
        found + [_unused(provider, settings) for provider in unused],
        key=lambda account: (account.provider, account.host, account.key_hash),
    )


def _accounts(db: sqlite3.Connection, settings: LimitsSettings, now: int) -> Iterator[AccountState]:
    rows = db.execute("select account, provider, host, key_hash from accounts").fetchall()
    for account, provider, host, key_hash in rows:
        state = state_of(db, account)
        limits = budget_of(provider, settings, host).limits
        is_held = state.held_until > now
        shut_until = max(state.held_until, now + state.circuit.wait(now))
        yield AccountState(
            provider,
            host,
            key_hash,
            [_limit(db, account, limit, now, shut_until) for limit in limits],
            held_until=_text(state.held_until) if is_held else None,
            held_for=state.held_for if is_held else None,
            breaker=state.circuit.state,
            failures=state.circuit.failures,
            tried_at=_tried_at(state.circuit),
        )


def _limit(
    db: sqlite3.Connection, account: str, limit: Limit, now: int, shut_until: int
) -> LimitState:
    spent = used(db, account, limit, now)
    free_at = max(shut_until, now + wait_for(db, account, limit, now))
    left = max(0, limit.count - spent)
    return LimitState(str(limit), spent, left, _text(free_at) if free_at > now else None)


def _unused(provider: str, settings: LimitsSettings) -> AccountState:
    limits = budget_of(provider, settings).limits
    return AccountState(
        provider, "", "", [LimitState(str(limit), 0, limit.count, None) for limit in limits]
    )


def _tried_at(circuit: Circuit) -> str | None:
    return None if circuit.state == "closed" else _text(circuit.next_at)


def _text(moment: int) -> str:
    return rfc3339(moment_of(moment))
