"""A stack with a lander and an Airflow, in a folder of its own, and what is looked at in it."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb

from drill.airflow.client import Airflow, Run
from drill.airflow.marts import OF_THE_BUILD
from drill.airflow.pictures import Album, Site
from drill.stack import own_stack
from infra.local import airflow
from infra.local.layout import Layout
from infra.local.services import AIRFLOW, SERVICES
from infra.local.stack import Stack
from ingestion.errors import StackError
from ingestion.settings import ROOT, WarehouseSettings
from orchestration.landed import Bronze

DAGS: Final = {
    *("stock_market_batch_pipeline", "stock_streaming_pipeline", "minio_to_snowflake"),
    *("maintain_lake", "backfill", "export_gold"),
}
_PARSED_S: Final = 60.0
# Of the lake's metrics, of dbt's, and of every revision of a bar: one that came twice shows.
_BY_SESSION: Final = ("daily_stock_metrics", "gold_daily_metrics", "gold_daily_bar_history")


class World:
    """What a scene acts on."""

    def __init__(
        self,
        layout: Layout,
        api: Airflow,
        say: Callable[[str], None],
        album: Album | None = None,
        *,
        ready_s: float,
        original: Path,
    ) -> None:
        self.layout, self.api, self.say, self.album = layout, api, say, album
        self.ready_s = ready_s
        """Seconds that Airflow's start took."""
        self.original = original
        """Where gold of the original runs is kept, for the world that fills the same sessions."""
        self.is_filled_again = False
        """Whether there will be such a world."""

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of ours in this world.

        Raises:
            StackError: it failed.
        """
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            end = " ".join((done.stdout + done.stderr).split())[-400:]
            raise StackError(f"python -m {' '.join(words)} ended with {done.returncode}: {end}")
        return done

    def picture(self, name: str, run: Run) -> None:
        """Take pictures of a run where they are asked for.

        Raises:
            StackError: the UI shows something else than what is so, or an error.
        """
        if self.album:
            for file in self.album.take(name, site(self.layout), run):
                self.say(f"  {file}")

    def gold(self) -> dict[str, tuple[int, str]]:
        """Return rows and a fingerprint of each published table, but of whose build it is."""
        with duckdb.connect(self.published(), read_only=True) as db:
            names = db.execute(
                "select table_name from duckdb_tables() where schema_name = 'gold'"
            ).fetchall()
            return {
                name: _fingerprint(db, f'gold."{name}"')
                for (name,) in names
                if name not in OF_THE_BUILD
            }

    def exported(self) -> tuple[str, dict[str, tuple[int, str]]]:
        """Return the name of the build that Parquet's readers are shown, and `gold` of its files.

        Raises:
            StackError: nothing has been exported.
        """
        folder = (self.layout.state / "export" / "current").resolve()
        if not folder.is_dir():
            raise StackError(f"expected exported files in {folder}")
        with duckdb.connect() as db:
            return folder.name, {
                file.stem: _fingerprint(db, f"read_parquet('{file}')")
                for file in folder.glob("*.parquet")
                if file.stem not in OF_THE_BUILD
            }

    def sessions(self) -> dict[str, int]:
        """Return the published rows of each mart of daily bars and session, by both names."""
        with duckdb.connect(self.published(), read_only=True) as db:
            return {
                f"{mart} {session}": rows
                for mart in _BY_SESSION
                for session, rows in db.execute(
                    f"select session_date, count(*) from gold.{mart} group by session_date"  # noqa: S608 - names of this file
                ).fetchall()
            }

    def published(self) -> Path:
        """Return the file that readers are shown now."""
        return (WarehouseSettings.load().published() / "current").resolve()

    def digest(self) -> str:
        """Return a digest of the published file, byte for byte."""
        return hashlib.sha256(self.published().read_bytes()).hexdigest()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse."""
        with duckdb.connect(WarehouseSettings.load().file(), read_only=True) as db:
            return db.execute(sql).fetchall()

    def change(self, sql: str) -> None:
        """Change the warehouse behind everybody's back."""
        with duckdb.connect(WarehouseSettings.load().file()) as db:
            db.execute(sql)

    def trace(self, panel: str) -> dict[str, int]:
        """Return the offsets that a panel is made of, by topic/generation/partition.

        Raises:
            StackError: something on the way to them is made by no event.
        """
        report = self.layout.state / "trace.json"
        self.run("orchestration.lineage", panel, "--report", str(report))
        found: dict[str, int] = {}
        for mart in json.loads(report.read_text())["marts"]:
            found |= mart["offsets"]
        return found

    def log_ends(self, topics: Collection[str]) -> dict[str, int]:
        """Return where Kafka's logs of topics end, by topic/generation/partition."""
        targets = Bronze().ends(list(topics))
        return {one.place: one.end for one in targets}

    def audit(self) -> str:
        """Reconcile every stage where nothing is on its way any more, and tell how much was.

        Raises:
            StackError: the verdict is another than ok, or there is a gap.
        """
        self.run("audit")
        return judged(json.loads((self.layout.state / "audit" / "verdict.json").read_text()))


def judged(verdict: Mapping[str, Any]) -> str:
    """Return an auditor's verdict in words.

    Raises:
        StackError: it is another than ok, or there is a gap.
    """
    gaps = sum(row["gap"] or 0 for row in verdict["table"])
    if verdict["verdict"] != "ok" or gaps:
        raise StackError(f"expected all reconciled, found {verdict['verdict']} and {gaps} gaps")
    return f"reconciled: ok, {len(verdict['checks'])} checks, no gap"


@contextmanager
def opened(
    folder: Path,
    say: Callable[[str], None],
    settings: Mapping[str, str] | None = None,
    *,
    is_scheduled: bool = False,
    album: Album | None = None,
) -> Iterator[World]:
    """Start everything in a folder that is emptied before; its settings are this process's.

    ``is_scheduled``: DAGs run when they are due too; otherwise what is triggered runs alone. All
    are switched on then, none of them before somebody does. ``settings`` are as in `own_stack`;
    ``album``: where pictures go, if any.
    """
    os.environ["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] = str(is_scheduled)
    with own_stack(folder, SERVICES, say, settings) as layout:
        began = time.monotonic()
        Stack(layout, report=say).up(AIRFLOW)
        ready_s = time.monotonic() - began
        say(f"Airflow ready after {ready_s:.1f} s")
        api = Airflow(*site(layout), say)
        _wait_for_dags(api)
        if not is_scheduled:
            for name in DAGS:
                api.switch(name, on=True)
        original = folder.with_name("original.duckdb")
        yield World(layout, api, say, album, ready_s=ready_s, original=original)
        api.close()


def site(layout: Layout) -> Site:
    """Return where its UI is and who logs in there."""
    return Site(airflow.url(layout), airflow.USER, layout.airflow.secret("admin_password"))


def _wait_for_dags(api: Airflow) -> None:
    until = time.monotonic() + _PARSED_S
    while not api.dags() >= DAGS:
        if errors := api.import_errors():
            raise StackError(errors[0])
        if time.monotonic() >= until:
            raise StackError(f"expected {sorted(DAGS)} within {_PARSED_S:.0f} s: {api.dags()}")
        time.sleep(1)


def _fingerprint(db: duckdb.DuckDBPyConnection, relation: str) -> tuple[int, str]:
    rows = f"(select * exclude (build_id) from {relation})"  # noqa: S608 - a name of the catalog, or a file
    [(count, digest)] = db.execute(
        f"select count(*), bit_xor(hash(t))::varchar from {rows} as t"  # noqa: S608 - as above
    ).fetchall()
    return int(count), str(digest)
