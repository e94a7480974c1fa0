"""What one new object costs: into an empty lake, and into one of a thousand sessions."""

from pathlib import Path
from typing import Any, Final

from benchmarks.land.measure import Run
from benchmarks.spark import contenders, data
from ingestion.errors import TapehouseError
from spark_jobs.schemas import TRADES

EMPTY: Final = "one new object, into an empty lake"
FULL: Final = "one new object, into a lake of 1,000 sessions"
ROWS: Final = (EMPTY, FULL)
_SESSIONS: Final = 1_000
_PER_SESSION: Final = 100
_OBJECTS: Final = 40  # each is a commit
_NEW: Final = 1_000
_WARM_UPS: Final = 4  # until the JVM has compiled what a commit needs


def measure(home: Path, runs: int) -> dict[str, list[Run]]:
    """Compact one object per run in a warm session, into either lake by turns.

    The full lake is made before, in a session of its own, an object and a commit at a time. What
    is new to it are trades of its last session.
    """
    bronze, state = home / "history", home / "full"
    before = data.write(bronze, _SESSIONS * _PER_SESSION, _OBJECTS, _SESSIONS)
    full = {"bronze": str(bronze), "state": str(state)}
    _, said = contenders.jobs([full | {"max_records": 1}], home)
    kept = said[0]["written"][TRADES.name]
    if kept != before.kept:
        raise TapehouseError(f"expected {before.kept} trades in the lake, found {kept}")
    lakes = [_empty(home, f"warm-up-{number}") for number in range(_WARM_UPS)]
    objects = len(list(bronze.glob("*/*/p=00000/*.zst")))
    for number in range(1, runs + 1):
        data.append(bronze, _NEW, seed=100 + number)
        lakes += [_empty(home, f"empty-{number}"), full | {"objects": objects + number}]
    samples, said = contenders.jobs(lakes, home)
    found = [contenders.run_of(samples, one) for one in said[_WARM_UPS:]]
    return {EMPTY: found[::2], FULL: found[1::2]}


def _empty(home: Path, name: str) -> dict[str, Any]:
    bronze = home / f"{name}-bronze"
    data.append(bronze, _NEW, seed=100)
    return {"bronze": str(bronze), "state": str(home / name)}
