"""Daily bars in a CSV file, read as text: no float lies between the file's digits and a message."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from importlib.resources import files
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple

from ingestion.contracts.topics import BATCH
from ingestion.errors import SourceError
from ingestion.sources.source import Refused

HEADER = b"Ticker,Date,Open,High,Low,Close,Volume,Adj Close"


class Row(NamedTuple):
    """One line of the file; every field is the file's own text, ``line`` its bytes."""

    line: bytes
    symbol: str
    session_date: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    adj_close: str

    def day(self) -> date | None:
        """Return the date, or None where the text is not one."""
        try:
            return date.fromisoformat(self.session_date)
        except ValueError:
            return None


def packaged_file() -> Path:
    """Return the data file inside the installed ``bokeh_sampledata``."""
    return Path(str(files("bokeh_sampledata") / "_data" / "stocks.csv.gz"))


def read(path: Path) -> Iterator[Row | Refused]:
    """Read a CSV file (gzip by its ``.gz``), line by line, in its own order.

    Raises:
        SourceError: the file cannot be read, or its first line is not the expected header.
    """
    try:
        with closing(_open(path)) as lines:
            _check_header(path, next(iter(lines), b""))
            yield from (row_of(line.rstrip(b"\r\n")) for line in lines)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path}: cannot be read: {error}") from error


def row_of(line: bytes) -> Row | Refused:
    """Return the fields of a line without its line end, or why it is no row."""
    try:
        fields = line.decode().split(",")
    except UnicodeDecodeError as error:
        detail = f"expected UTF-8, found {error.reason} at byte {error.start}"
        return Refused(line, BATCH, "not_utf8", detail)
    expected = HEADER.count(b",") + 1
    if len(fields) != expected:
        detail = f"expected {expected} columns, found {len(fields)}"
        return Refused(line, BATCH, "malformed_row", detail)
    return Row(line, *fields)


def _open(path: Path) -> BufferedIOBase:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _check_header(path: Path, found: bytes) -> None:
    if found.rstrip(b"\r\n") != HEADER:
        raise SourceError(f"{path}: expected the header {HEADER!r}, found {found[:100]!r}")
