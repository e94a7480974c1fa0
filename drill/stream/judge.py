"""Whether two tables are the same; imports nothing of ours."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

_TOLERANCE: Final = 1e-9
_SHOWN: Final = 3

Row = Mapping[str, Any]
Table = Mapping[tuple[Any, ...], Row]


def differences(name: str, found: Table, wanted: Table) -> list[str]:
    """Return in words where ``found`` is not as ``wanted``, nothing where it is.

    Every column that is wanted is compared: floats to a billionth of their value, all else exactly.
    """
    said = []
    for word, keys in (("missing", wanted.keys() - found), ("too many", found.keys() - wanted)):
        if keys:
            said.append(f"{name}: {len(keys)} rows {word}: {min(keys, key=repr)}")
    wrong = [*_wrong(found, wanted)]
    if wrong:
        said.append(f"{name}: {len(wrong)} values differ: {'; '.join(wrong[:_SHOWN])}")
    return said


def _wrong(found: Table, wanted: Table) -> Iterator[str]:
    for key in wanted.keys() & found.keys():
        for column, value in wanted[key].items():
            if not _same(found[key][column], value):
                yield f"{key} {column}: expected {value!r}, found {found[key][column]!r}"


def _same(mine: Any, theirs: Any) -> bool:  # noqa: ANN401 - a value of any column
    if mine is None or theirs is None:
        return mine is theirs
    if isinstance(theirs, float):
        return math.isclose(mine, theirs, rel_tol=_TOLERANCE, abs_tol=0.0)
    return bool(mine == theirs)
