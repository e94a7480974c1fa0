"""Where a compaction's wall time goes: the steps that the driver takes one after the other."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from spark_jobs import audit, classified, commit
from spark_jobs.tally import Tally

# Nested in none of the others; what is in none of them is the rest.
STEPS: Final[dict[str, tuple[Any, str]]] = {
    "objects to pages": (Tally, "of"),
    "event_ids that the table has": (classified, "_hits"),
    "lines that are looked at alone": (classified, "_facts"),
    "pages to sorted files": (commit, "stage"),
    "reading the branches back": (audit, "check_branches"),
    "moving main": (commit.Staged, "publish"),
}


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Yield the seconds spent in each step while the block runs."""
    spent: dict[str, float] = defaultdict(float)
    with ExitStack() as stack:
        for name, (owner, step) in STEPS.items():
            stack.enter_context(_timed(owner, step, name, spent))
        yield spent


@contextmanager
def _timed(owner: Any, step: str, name: str, spent: dict[str, float]) -> Iterator[None]:  # noqa: ANN401 - a class or a module
    plain, call = vars(owner)[step], getattr(owner, step)

    def wrapped(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the step takes
        began = time.monotonic()
        try:
            return call(*arguments, **named)
        finally:
            spent[name] += time.monotonic() - began

    # ``call`` of a class method is bound already.
    setattr(owner, step, staticmethod(wrapped) if isinstance(plain, classmethod) else wrapped)
    try:
        yield
    finally:
        setattr(owner, step, plain)
