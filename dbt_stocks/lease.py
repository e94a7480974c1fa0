"""``ops.lease``: which checkout builds and publishes in a Snowflake database, and until when.

A lock file keeps the commands of one checkout apart, and no other machine's. So a gate command
takes the lease before it heals or builds anything, and takes it again each time that it goes on: by
one UPDATE, which Snowflake runs for one session at a time, and the account's clock. A lease that is
over may be taken by anybody; one that is held, by its holder alone, whose lock file says that the
command that took it is dead.
"""

import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dbt_stocks.catalog import Session
from ingestion.errors import WarehouseLockedError

# Twice what a statement may run for (infra/snowflake/09_service_users.sql): whatever was sent under
# a lease has ended before another holder can begin.
HOURS: Final = 2
DDL: Final = (
    "create table if not exists ops.lease (holder varchar not null, build_id varchar not null, "
    "held_until timestamp not null)",
    # Two first commands at once may leave two rows; whoever finds another's name on one gives way.
    "insert into ops.lease select '', '', '1970-01-01'::timestamp "
    "where not exists (select 1 from ops.lease)",
)


@dataclass(frozen=True)
class Lease:
    """The lease of a database, as one holder sees it."""

    db: Session
    holder: str

    def take(self, build_id: str) -> None:
        """Take it, or hold it longer; ``build_id`` is told to whoever finds it held.

        Raises:
            WarehouseLockedError: another holder has it.
        """
        self.db.execute(
            "update ops.lease set holder = ?, build_id = ?, "
            "held_until = dateadd('hour', ?, sysdate()) where holder = ? or held_until < sysdate()",
            [self.holder, build_id, HOURS, self.holder],
        )
        others = self.db.execute(
            "select holder, build_id, held_until from ops.lease where holder <> ?", [self.holder]
        ).fetchall()
        for holder, what, until in others:
            raise WarehouseLockedError(
                f"expected nobody else to build or publish here, found {holder} at it ({what}) "
                f"until {until:%F %T}Z at the latest: wait for it; what a dead machine has left is "
                "mended by the first command after that"
            )

    def give_back(self) -> None:
        """Let others take it at once."""
        self.db.execute(
            "update ops.lease set held_until = '1970-01-01'::timestamp where holder = ?",
            [self.holder],
        )


def holder(file: Path) -> str:
    """Return this checkout's name: the machine's, and an id of its own kept in ``file``."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{socket.gethostname()}/{uuid.uuid4().hex[:8]}\n")
    return file.read_text().strip()
