"""What was done to which event: JSON lines beside the data, for a test that demands all of it."""

from collections import Counter
from io import BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from ingestion.contracts.records import Message, schema_name
from ingestion.errors import SourceError


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of one event.

    ``event_id``, ``symbol`` and ``event_time`` are those of the event as the source made it;
    ``sent_as`` is the event_id under which something altered or added was sent, None where nothing
    of the event was sent. ``detail`` says more, by kind.
    """

    fault: str
    event_id: str
    schema: str
    symbol: str
    event_time: str
    sent_as: str | None
    detail: dict[str, str | int]


def of(kind: str, event: Message, sent: Message | None, **detail: str | int) -> Fault:
    """Return the record of a fault."""
    return Fault(
        fault=kind,
        event_id=event.event_id,
        schema=schema_name(type(event)),
        symbol=event.symbol,
        event_time=event.event_time,
        sent_as=sent.event_id if sent is not None else None,
        detail=detail,
    )


def read(path: Path) -> list[Fault]:
    """Read a file of faults."""
    return [msgspec.json.decode(line, type=Fault) for line in path.read_bytes().splitlines()]


class Truth:
    """Writes faults to a file; an event's faults are in it before the event is given on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self._file: BufferedWriter | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be written: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def note(self, fault: Fault) -> None:
        """Write one fault.

        Raises:
            SourceError: it cannot be written.
        """
        if self._file is None:
            raise SourceError(f"{self.path}: expected to be open before a fault is noted")
        self.counts[fault.fault] += 1
        try:
            self._file.write(msgspec.json.encode(fault) + b"\n")
            self._file.flush()  # a killed run's truth has all that it gave on
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be written: {error}") from error
