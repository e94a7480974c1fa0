"""The market page as a server of this process, on copies of published gold that replace another."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from dashboards.web.__main__ import site
from dashboards.web.pictures import serving
from dbt_stocks.files import CURRENT
from dbt_stocks.reader import GoldReader
from ingestion import calendar
from ingestion.errors import StackError

ZONE: Final = calendar.get().zone


class Copies:
    """A folder of published gold: the n-th copy says n wherever a screen can tell it apart."""

    def __init__(self, published: Path, folder: Path) -> None:
        """Publish copy 0.

        Raises:
            StackError: nothing is published.
        """
        self.folder = folder
        self.number = 0
        self._source = published / CURRENT
        if not self._source.is_file():
            raise StackError(f"expected published gold in {published}, found none: run `make demo`")
        self._put()

    def publish(self) -> str:
        """Publish another copy as dbt_stocks does; return its build."""
        before = (self.folder / CURRENT).resolve()
        self.number += 1
        self._put()
        before.unlink()
        return build_id(self.number)

    def publish_often(self, every_s: float, stop: threading.Event) -> None:
        """Publish until told to stop."""
        while not stop.wait(every_s):
            self.publish()

    def _put(self) -> None:
        path = self.folder / f"gold-{self.number:05}.duckdb"
        path.write_bytes(self._source.read_bytes())
        with duckdb.connect(path) as db:
            db.execute("update ops.builds set build_id = ?", [build_id(self.number)])
            # Two queries of a screen that see two builds show two numbers.
            db.execute("update gold.gold_kpi set current_price = ?", [self.number])
            db.execute("update gold.gold_movers set close_price = ?", [self.number])
        link = self.folder / "next"
        link.symlink_to(path.name)
        link.replace(self.folder / CURRENT)


def build_id(number: int) -> str:
    """Return the build of the n-th copy."""
    return f"build-{number:05}"


@contextmanager
def served(copies: Copies) -> Iterator[str]:
    """Serve the page of the copies; yield its address."""
    with GoldReader(copies.folder) as reader, serving(site(reader)) as url:
        yield url
