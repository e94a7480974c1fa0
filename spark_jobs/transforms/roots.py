"""Which trade a correction means, through chains of them. Imports no Spark: workers run it."""

from collections.abc import Mapping
from typing import Final, cast

import pyarrow as pa

ROOT: Final = "root"
# A change counts when it is stamped in its trade's session or up to so many days after it: beyond
# clearing (two business days) and a long weekend. No run reads sessions further away: without an
# end, what counts would depend on which sessions a run was asked for.
CORRECTED_WITHIN_DAYS: Final = 7


def with_roots(corrections: pa.Table) -> pa.Table:
    """Add ``root`` to corrections of one symbol (event_id, ref, ...)."""
    ids = cast(list[str], corrections["event_id"].to_pylist())
    refs = cast(list[str], corrections["ref"].to_pylist())
    found = roots(dict(zip(ids, refs, strict=True)))
    column = pa.array([found[event_id] for event_id in ids], pa.string())
    return corrections.append_column(ROOT, column)


def roots(refs: Mapping[str, str]) -> dict[str, str | None]:
    """Return for each correction the event at the end of its chain, None where it is a circle.

    Args:
        refs: what each correction refers to, by its event_id: a trade or another correction.
    """
    found: dict[str, str | None] = {}
    for start in refs:
        path: set[str] = set()
        event: str = start
        while event in refs and event not in found and event not in path:
            path.add(event)
            event = refs[event]
        root = None if event in path else found.get(event, event)
        found.update(dict.fromkeys(path, root))
    return found
