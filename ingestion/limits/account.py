"""One provider's budget with one key: what was asked, what may be asked, and when."""

import hashlib
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from ingestion.limits import hold, rows
from ingestion.limits.circuit import BreakerPolicy
from ingestion.limits.file import LimitsFile
from ingestion.limits.limit import SECOND, Budget, Limit
from ingestion.sources.provider import ProviderError, RateLimitedError, Scope

_KEY_HASH_BYTES: Final = 4

Why = Literal["budget", "hold", "circuit"]


@dataclass(frozen=True)
class Identity:
    """Who counts our requests: a provider at a host, for one key. The key itself is not kept."""

    provider: str
    host: str
    key_hash: str

    @classmethod
    def of(cls, provider: str, base_url: str, key: str | None) -> "Identity":
        """Make it; a hash this short tells two keys apart and gives neither away."""
        host = urlsplit(base_url).netloc.rpartition("@")[2].lower()
        made = hashlib.blake2b((key or "").encode(), digest_size=_KEY_HASH_BYTES)
        return cls(provider, host, made.hexdigest() if key else "")

    def __str__(self) -> str:
        return f"{self.provider}|{self.host}|{self.key_hash}"


@dataclass(frozen=True)
class Ticket:
    """Leave to send one request now."""

    number: int
    started_at: int


@dataclass(frozen=True)
class Wait:
    """No request now; ask again after ``microseconds``, not before."""

    microseconds: int
    why: Why
    detail: str


class Account:
    """The budget of one identity. All moments are microseconds since 1970, from one clock.

    Its methods raise LimitsError where the file fails.
    """

    def __init__(
        self, file: LimitsFile, identity: Identity, budget: Budget, breaker: BreakerPolicy
    ) -> None:
        self._file = file
        self._id = str(identity)
        self._budget = budget
        self._breaker = breaker
        with file.transaction() as db:
            db.execute(
                "insert into accounts (account, provider, host, key_hash) values (?, ?, ?, ?) "
                "on conflict do nothing",
                (self._id, identity.provider, identity.host, identity.key_hash),
            )

    def take(self, now: int) -> Ticket | Wait:
        """Take leave for one request, or tell how long there is none."""
        with self._file.transaction() as db:
            rows.mend(db, self._id, now, self._breaker.longest)
            state = rows.state_of(db, self._id)
            wait = _wait(db, self._id, state, self._budget.limits, now)
            if wait is not None:
                return wait
            rows.keep_circuit(db, self._id, state.circuit.tried(now))
            return Ticket(rows.insert(db, self._id, now + rows.LEASE, is_open=True), now)

    def give_back(self, ticket: Ticket, now: int) -> None:
        """Note that a request has ended without any word of the provider."""
        with self._file.transaction() as db:
            rows.end(db, ticket.number, max(now, ticket.started_at))
            circuit = rows.state_of(db, self._id).circuit
            rows.keep_circuit(db, self._id, circuit.given_back(now, self._breaker))

    def told(self, ticket: Ticket, error: ProviderError | None, now: int) -> None:
        """Note a request's outcome; None is an answer as it should be."""
        with self._file.transaction() as db:
            rows.end(db, ticket.number, max(now, ticket.started_at))
            state = rows.state_of(db, self._id)
            rows.keep_circuit(db, self._id, state.circuit.told(error, now, self._breaker))
            if isinstance(error, RateLimitedError):
                self._hold(db, state, error, now)
            elif state.held_until <= now:
                db.execute("update accounts set refusals = 0 where account = ?", (self._id,))

    def observe(
        self, remaining: int, reset_s: float | None, scope: Scope, since: int, now: int
    ) -> int:
        """Lower what is left of ``scope`` to ``remaining``; return by how many requests.

        The provider has counted no request of ours that ended longer than a span before ``since``,
        the start of the request whose answer said so. What is missing from ours was somebody
        else's: it counts as ended now, or as far back as ``reset_s`` allows.
        """
        with self._file.transaction() as db:
            return sum(
                self._lower(db, limit, max(0, remaining), reset_s, since, now)
                for limit in self._budget.limits
                if limit.scope == scope
            )

    def held(self, now: int) -> int:
        """Return for how many microseconds from now nobody may ask."""
        with self._file.transaction() as db:
            return max(0, rows.state_of(db, self._id).held_until - now)

    def left(self, now: int) -> dict[str, int]:
        """Return how many requests each limit leaves now."""
        with self._file.transaction() as db:
            return {
                str(limit): max(0, limit.count - rows.used(db, self._id, limit, now))
                for limit in self._budget.limits
            }

    def _lower(
        self,
        db: sqlite3.Connection,
        limit: Limit,
        remaining: int,
        reset_s: float | None,
        since: int,
        now: int,
    ) -> int:
        missing = limit.count - remaining - rows.used(db, self._id, limit, since)
        ended = now
        if reset_s is not None and math.isfinite(reset_s) and limit.zone is None:
            ended = now - limit.length + round(min(max(reset_s, 0.0), 86_400.0) * SECOND)
        for _ in range(missing):
            rows.insert(db, self._id, min(ended, now), is_open=False)
        return max(0, missing)

    def _hold(
        self, db: sqlite3.Connection, state: rows.State, error: RateLimitedError, now: int
    ) -> None:
        """Hold the account; refusals of requests already under way belong to the first one."""
        refusals = state.refusals if state.held_until > now else state.refusals + 1
        until = hold.held_until(error, now, max(1, refusals), self._budget.day_zone)
        db.execute(
            "update accounts set held_until = max(held_until, ?), held_for = ?, refusals = ? "
            "where account = ?",
            (until, error.scope or "unknown", refusals, self._id),
        )


def _wait(
    db: sqlite3.Connection, account: str, state: rows.State, limits: Sequence[Limit], now: int
) -> Wait | None:
    """Return the longest of the waits, and what it is for; an open circuit goes first."""
    if circuit := state.circuit.wait(now):
        return Wait(circuit, "circuit", f"{state.circuit.failures} failures in a row")
    waits = [
        Wait(state.held_until - now, "hold", f"it refused: {state.held_for}"),
        *(Wait(rows.wait_for(db, account, limit, now), "budget", str(limit)) for limit in limits),
    ]
    longest = max(waits, key=lambda wait: wait.microseconds)
    return longest if longest.microseconds > 0 else None
