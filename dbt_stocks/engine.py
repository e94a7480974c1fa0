"""What the gate asks of a warehouse, whichever engine it is.

``publishing.py`` and ``snowflake_publishing.py`` answer. What both do in the same SQL, the books,
the state, the comparison, takes a ``Session`` and knows of no engine.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from dbt_stocks import books, catalog, state
from dbt_stocks.books import Outcome

CANDIDATE: Final = "gold_candidate"
GOLD: Final = "gold"


class Gold(Protocol):
    """A warehouse, opened for a gate command: its candidate, and what readers see."""

    @property
    def db(self) -> catalog.Session:
        """The open warehouse."""

    def take(self, what: str) -> None:
        """Keep other machines' commands out, from before anything is healed or built.

        Again before each further step: what another machine has taken meanwhile is its own.
        ``what`` is the build, told to whoever is kept out.

        Raises:
            WarehouseLockedError: another machine's command is at work.
        """

    def give_back(self) -> None:
        """Let other machines' commands in again."""

    def heal(self) -> list[str]:
        """Finish or undo what a killed command left, and say what was done."""

    def publish(self, build_id: str, outcome: Outcome) -> None:
        """Make the candidate gold; readers see all of it, or the build before.

        Raises:
            TapehouseError: something cannot be written; ``settle`` tells what came of it.
        """

    def settle(self, build_id: str, reason: str, finished_at: datetime) -> bool:
        """Bring things to order after a build has failed, and return whether it is published.

        It is where only what follows the commit has failed, or where a failure of a commit was
        reported that had been done.
        """

    def rollback(self, to: str | None, at: datetime, why: str) -> tuple[str, str]:
        """Show an earlier build again: the one before, or any that is still kept.

        The candidate becomes that build too: increments go on from what readers see, and compute
        again what came in since. A build that was withdrawn may be shown again in the same way, as
        long as nothing else has been published.

        Returns: the build shown before, and the one shown now.

        Raises:
            BuildError: there is no such build, it is not kept, or it is the one shown.
        """


class Warehouse(Protocol):
    """A warehouse that a gate command may open, and how dbt gets there."""

    def lock(self) -> Path:
        """Return the lock that keeps this machine's commands apart."""

    def lock_timeout_s(self) -> float:
        """Return how long to wait for it."""

    def dbt_environment(self) -> dict[str, str]:
        """Return the variables with which dbt's profile leads here."""

    def opened(self) -> AbstractContextManager[Gold]:
        """Open it; the caller holds the lock.

        Raises:
            TapehouseError: it is not there, or refuses.
        """


def drop_strangers(db: catalog.Session, marts: set[str]) -> list[str]:
    """Drop from the candidate what is no mart, and so is tested by nobody; return the names."""
    strangers = [found for found in catalog.relations(db, CANDIDATE) if found[1] not in marts]
    with catalog.transaction(db):
        for kind, name in strangers:
            db.execute(f"drop {kind} {CANDIDATE}.{name}")
    return [name for _, name in strangers]


def refill_candidate(
    db: catalog.Session, build_id: str | None, refill: Callable[[str], Sequence[str]]
) -> None:
    """Give the candidate gold's rows, which are a build's, and their state.

    ``refill`` returns the statements that give a mart its rows. One that cannot take them, since
    its columns have changed, is dropped and built anew. A view of the candidate reads the
    candidate, and stays.
    """
    there, wanted = catalog.columns(db, GOLD), catalog.columns(db, CANDIDATE)
    shown, filled = set(catalog.tables(db, GOLD)), []
    for mart in catalog.tables(db, CANDIDATE):
        if mart in shown and there[mart] == wanted[mart]:
            for statement in refill(mart):
                db.execute(statement)
            filled.append(mart)
        else:
            db.execute(f"drop table {CANDIDATE}.{mart}")
    state.restore(db, CANDIDATE, build_id, filled)


def shown(db: catalog.Session) -> str | None:
    """Return the build that the books say is shown."""
    return next(iter(books.published(db)), None)
