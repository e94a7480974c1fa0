"""A stack of a drill's own: a Kafka and a store whose files all lie in one folder."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local import scratch
from infra.local.layout import Layout
from infra.local.stack import Stack
from ingestion.settings import known


@contextmanager
def own_stack(folder: Path) -> Iterator[Layout]:
    """Start one in a folder that is emptied before, with its settings in force in this process."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in known() & os.environ.keys():
        del os.environ[name]  # an exported setting would take the place of the stack's own
    os.environ.update(scratch.prepare(folder))
    stack = Stack(Layout.load())
    stack.up(("kafka", "store"))
    try:
        yield stack.layout
    finally:
        stack.down()
