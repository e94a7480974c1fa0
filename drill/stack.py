"""A stack of a drill's own: services whose files all lie in one folder."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.local import processes, scratch
from infra.local.layout import Layout
from infra.local.services import ServiceName
from infra.local.stack import Report, Stack, silent
from ingestion.settings import known


@contextmanager
def own_stack(
    folder: Path,
    services: Sequence[ServiceName] = ("kafka", "store"),
    report: Report = silent,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Layout]:
    """Start one in a folder that is emptied before, with its settings in force in this process.

    ``settings`` are those that differ from the defaults, by their variable names.
    What a drill that was killed left running there is ended. Everything that a caller adds to the
    stack is stopped with it, at SIGTERM too.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    processes.end(processes.of_stack(folder / "var"))
    shutil.rmtree(folder, ignore_errors=True)
    for name in known() & os.environ.keys():
        del os.environ[name]  # an exported setting would take the place of the stack's own
    os.environ.update(scratch.prepare(folder, settings))
    stack = Stack(Layout.load(), report=report)
    try:
        stack.up(services)
        yield stack.layout
    finally:
        stack.down()
