"""Two tables of numbers, row by row under their key."""

import numpy as np
import pandas as pd

RELATIVE = 1e-9
# Below this two numbers near nought are equal: a return of a cent on 100,000 dollars is 1e-7.
ABSOLUTE = 1e-13


def assert_equal(found: pd.DataFrame, expected: pd.DataFrame, key: list[str], name: str) -> int:
    """Compare every column of ``expected``; print and return how many values were compared."""
    assert len(expected), f"{name}: nothing to compare with"
    left, right = (table.set_index(key).sort_index() for table in (found, expected))
    assert left.index.is_unique, f"{name}: rows with one key"
    missing, surplus = right.index.difference(left.index), left.index.difference(right.index)
    assert not len(missing) and not len(surplus), (
        f"{name}: {len(missing)} rows missing, such as {list(missing[:3])}; "
        f"{len(surplus)} too many, such as {list(surplus[:3])}"
    )
    values = 0
    for column in right:
        values += _compare(left[column], right[column], f"{name}.{column}")
    return values


def _compare(found: pd.Series, expected: pd.Series, name: str) -> int:
    if pd.api.types.is_numeric_dtype(expected):
        ours, theirs = found.to_numpy(dtype=float), expected.to_numpy(dtype=float)
        different = ~np.isclose(ours, theirs, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
    else:
        different = (found.ne(expected) & (found.notna() | expected.notna())).to_numpy()
    worst = pd.DataFrame({"found": found, "expected": expected})[different]
    assert not different.any(), f"{name}: {different.sum()} of {len(found)} differ\n{worst.head()}"
    compared = int(expected.notna().sum())
    print(f"{name:<45} {compared:>9,} values equal")  # noqa: T201 - what `pytest -s` is run for
    return compared
