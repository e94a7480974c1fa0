"""One provider's budget with one key: what was asked, what may be asked, and when."""

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from ingestion.limits import hold
from ingestion.limits.circuit import BreakerPolicy, Circuit
from ingestion.limits.file import LimitsFile
from ingestion.limits.limit import SECOND, Budget, Limit
from ingestion.sources.provider import ProviderError, RateLimitedError, Scope

# A request without an answer is taken to be under way for so long, also when its process died. An
# adapter's time-outs are below it.
LEASE: Final = 60 * SECOND
# No limit looks further back: a day of 25 hours, and the margins.
_KEPT: Final = 26 * 3_600 * SECOND
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


@dataclass(frozen=True)
class State:
    """An account's row."""

    held_until: int
    held_for: str
    refusals: int
    circuit: Circuit


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
            _mend(db, self._id, now)
            state = state_of(db, self._id)
            wait = _wait(db, self._id, state, self._budget.limits, now)
            if wait is not None:
                return wait
            _keep_circuit(db, self._id, state.circuit.tried(now))
            return Ticket(_insert(db, self._id, now + LEASE, is_open=True), now)

    def give_back(self, ticket: Ticket, now: int) -> None:
        """Note that a request has ended without any word of the provider."""
        with self._file.transaction() as db:
            _end(db, ticket, now)

    def told(self, ticket: Ticket, error: ProviderError | None, now: int) -> None:
        """Note a request's outcome; None is an answer as it should be."""
        with self._file.transaction() as db:
            _end(db, ticket, now)
            state = state_of(db, self._id)
            _keep_circuit(db, self._id, state.circuit.told(error, now, self._breaker))
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
            return max(0, state_of(db, self._id).held_until - now)

    def left(self, now: int) -> dict[str, int]:
        """Return how many requests each limit leaves now."""
        with self._file.transaction() as db:
            return {
                str(limit): max(0, limit.count - used(db, self._id, limit, now))
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
        missing = limit.count - remaining - used(db, self._id, limit, since)
        ended = now
        if reset_s is not None and limit.zone is None:
            ended = now - limit.length + round(min(max(reset_s, 0.0), 86_400.0) * SECOND)
        for _ in range(missing):
            _insert(db, self._id, min(ended, now), is_open=False)
        return max(0, missing)

    def _hold(
        self, db: sqlite3.Connection, state: State, error: RateLimitedError, now: int
    ) -> None:
        """Hold the account; refusals of requests already under way belong to the first one."""
        refusals = state.refusals if state.held_until > now else state.refusals + 1
        until = hold.held_until(error, now, max(1, refusals), self._budget.day_zone)
        db.execute(
            "update accounts set held_until = max(held_until, ?), held_for = ?, refusals = ? "
            "where account = ?",
            (until, error.scope or "unknown", refusals, self._id),
        )


def state_of(db: sqlite3.Connection, account: str) -> State:
    """Return an account's row."""
    held_until, held_for, refusals, *circuit = db.execute(
        "select held_until, held_for, refusals, circuit, failures, next_at "
        "from accounts where account = ?",
        (account,),
    ).fetchone()
    return State(held_until, held_for, refusals, Circuit(*circuit))


def used(db: sqlite3.Connection, account: str, limit: Limit, now: int) -> int:
    """Return how many requests count against a limit at ``now``."""
    counted = "select count(*) from requests where account = ? and ended_at > ?"
    found: int = db.execute(counted, (account, limit.counts_after(now))).fetchone()[0]
    return found


def wait_for(db: sqlite3.Connection, account: str, limit: Limit, now: int) -> int:
    """Return the microseconds until a limit has room, 0 for now.

    It has room when the ``count``-th latest end counts no more. An open request ends now at the
    earliest: asked again then, the answer may be another wait.
    """
    row = db.execute(
        "select min(ended_at, ?) from requests where account = ? and ended_at > ? "
        "order by ended_at desc limit 1 offset ?",
        (now, account, limit.counts_after(now), limit.count - 1),
    ).fetchone()
    return 0 if row is None else limit.free_at(row[0], now) - now


def _wait(
    db: sqlite3.Connection, account: str, state: State, limits: Sequence[Limit], now: int
) -> Wait | None:
    """Return the longest of the waits, and what it is for."""
    waits = [
        Wait(state.circuit.wait(now), "circuit", f"{state.circuit.failures} failures in a row"),
        Wait(state.held_until - now, "hold", f"it refused: {state.held_for}"),
        *(Wait(wait_for(db, account, limit, now), "budget", str(limit)) for limit in limits),
    ]
    longest = max(waits, key=lambda wait: wait.microseconds)
    return longest if longest.microseconds > 0 else None


def _mend(db: sqlite3.Connection, account: str, now: int) -> None:
    """Forget what counts no more, and what only a clock that was set back can have written."""
    db.execute("delete from requests where account = ? and ended_at <= ?", (account, now - _KEPT))
    db.execute(
        "update requests set ended_at = ? + is_open * ? where account = ? "
        "and ended_at > ? + is_open * ?",
        (now, LEASE, account, now, LEASE),
    )
    db.execute(
        "update accounts set held_until = min(held_until, ?) where account = ?",
        (now + hold.MAX, account),
    )


def _insert(db: sqlite3.Connection, account: str, ended_at: int, *, is_open: bool) -> int:
    statement = "insert into requests (account, ended_at, is_open) values (?, ?, ?)"
    number = db.execute(statement, (account, ended_at, is_open)).lastrowid
    assert number is not None  # noqa: S101 - sqlite3 types it for statements that insert nothing
    return number


def _end(db: sqlite3.Connection, ticket: Ticket, now: int) -> None:
    statement = "update requests set ended_at = ?, is_open = 0 where number = ?"
    db.execute(statement, (max(now, ticket.started_at), ticket.number))


def _keep_circuit(db: sqlite3.Connection, account: str, circuit: Circuit) -> None:
    db.execute(
        "update accounts set circuit = ?, failures = ?, next_at = ? where account = ?",
        (circuit.state, circuit.failures, circuit.next_at, account),
    )
