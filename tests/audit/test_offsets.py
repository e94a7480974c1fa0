from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from audit.model import Partition
from audit.offsets import collect, compare, expand, merge, runs

numbers = st.lists(st.integers(0, 60), max_size=60)


def ordered(values: list[int]) -> np.ndarray:
    return np.array(sorted(values), dtype=np.int64)


@given(numbers, numbers)
def test_differences_are_those_of_plain_sets_and_counters(
    wanted: list[int], held: list[int]
) -> None:
    found = compare(ordered(wanted), ordered(held))
    assert found.missing.tolist() == sorted(set(wanted) - set(held))
    assert found.alien.tolist() == sorted(set(held) - set(wanted))
    assert found.doubled.tolist() == sorted(n for n, times in Counter(held).items() if times > 1)


@given(st.sets(st.integers(0, 200)))
def test_runs_and_their_offsets_are_the_same_set(values: set[int]) -> None:
    offsets = ordered(list(values))
    assert expand(runs(offsets)).tolist() == offsets.tolist()
    assert all(start < end for start, end in runs(offsets))


def test_overlapping_intervals_hold_an_offset_twice() -> None:
    assert expand([(0, 3), (2, 4)]).tolist() == [0, 1, 2, 2, 3]


def test_an_offset_in_two_tables_is_there_twice() -> None:
    place = Partition("t", "g", 0)
    assert merge({place: ordered([1, 2])}, {place: ordered([2])})[place].tolist() == [1, 2, 2]


SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("generation", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
    ]
)


def batch(*rows: tuple[str, int, int | None]) -> pa.RecordBatch:
    named = [
        {"topic": topic, "generation": "g", "partition": partition, "offset": offset}
        for topic, partition, offset in rows
    ]
    return pa.RecordBatch.from_pylist(named, schema=SCHEMA)


def test_rows_are_gathered_by_identity_over_batches() -> None:
    found = collect([batch(("a", 0, 5), ("b", 0, 1), ("a", 1, 7)), batch(("a", 0, 3))])
    assert {place: held.tolist() for place, held in found.items()} == {
        Partition("a", "g", 0): [3, 5],
        Partition("a", "g", 1): [7],
        Partition("b", "g", 0): [1],
    }


def test_a_row_without_an_offset_is_held_at_minus_one_and_not_lost() -> None:
    assert collect([batch(("a", 0, None))])[Partition("a", "g", 0)].tolist() == [-1]
