"""What pages tell, added up: what is doubtful, what is refused, what each object has."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from spark_jobs import tally
from spark_jobs.positions import Chain
from spark_jobs.tally import Tally, Told
from spark_jobs.transforms.objects import Place

CHAIN = Chain("t", "g", 0)
ONE, TWO = Place(CHAIN, 0), Place(CHAIN, 10)


def told(
    place: Place, kind: str | None, numbers: list[int], hashes: list[int], **more: Any
) -> Told:
    start = place.start + (min(numbers) if numbers else 0)
    fields = {
        **{"place": place, "kind": kind, "lines": len(numbers), "repeated": 0, "days": [15_000]},
        **{"first": start, "last": start + len(numbers) - 1, "fresh": len(numbers)},
        **{"numbers": np.array(numbers, np.int64), "hashes": np.array(hashes, np.int64)},
    }
    return Told(**(fields | more))


def fact(place: Place, **more: Any) -> dict[str, Any]:
    fields = {
        **place.columns(),
        **{"offset": place.start, "kind": "trades", "reason": None, "destination": "trades"},
        **{"in_table": False, "was_event": True, "is_fresh": True, "is_beyond": True},
    }
    return fields | more


def listed(wanted: dict[Place, Any]) -> dict[Place, list[int]]:
    return {place: numbers.tolist() for place, numbers in wanted.items()}


def test_doubtful_is_what_is_there_twice_or_in_a_table() -> None:
    draw = np.random.default_rng(3)
    hashes = draw.integers(-40, 40, 60).tolist()
    pages = [
        told(ONE, "trades", list(range(0, 20)), hashes[:20]),
        told(ONE, None, [20, 21], []),
        told(TWO, "trades", list(range(20)), hashes[20:40]),
        told(TWO, "trades", list(range(20, 40)), hashes[40:]),
    ]
    hits = [hashes[5], 99]

    found = listed(Tally(pages).doubtful(np.array(hits)))

    often = Counter(hashes)
    doubtful = [often[h] > 1 or h in hits for h in hashes]
    assert found == {
        ONE: [n for n in range(20) if doubtful[n]],
        TWO: [n - 20 for n in range(20, 60) if doubtful[n]],
    }
    assert 0 < sum(doubtful) < 60
    assert listed(Tally(pages).refused()) == {ONE: [20, 21]}
    assert listed(tally.both(found | {ONE: np.array([1, 20])}, {ONE: np.array([20, 30])}))[ONE] == [
        *(1, 20, 30),
    ]
    assert listed(Tally([told(ONE, "trades", [0], [7])]).doubtful(np.array([], np.int64))) == {}


def test_objects_are_counted_with_what_was_taken_back_and_refused() -> None:
    pages = Tally(
        [
            told(ONE, "trades", [0, 1, 2, 3], [1, 2, 2, 3], repeated=1),
            told(ONE, "bars", [4], [4], fresh=0),
            told(ONE, None, [5, 6], [], first=None, last=None),
            told(TWO, "trades", [0], [5]),
        ]
    )
    facts = pd.DataFrame(
        [
            fact(ONE, offset=1),
            fact(ONE, offset=2, reason="duplicate", destination="rejects"),
            fact(ONE, offset=4, kind="bars", destination="bars", in_table=True)
            | {"is_fresh": False, "is_beyond": False},
            fact(ONE, offset=None, kind=None, reason="invalid_json", destination="rejects")
            | {"was_event": False, "is_fresh": False},
            fact(TWO, offset=10, in_table=True),
        ]
    )

    found = {row["object_start"]: row for row in tally.counts(pages, facts)}

    one, two = found[0], found[10]
    # Of two lines that are no events one was found again: the other is missed by the audit.
    assert (one["lines"], one["first"], one["last"], one["repeated"]) == (6, 0, 4, 1)
    assert (one["trades"], one["bars"], one["rejects"]) == (3, 0, 2)
    assert (one["reason_duplicate"], one["reason_invalid_json"]) == (1, 1)
    assert (two["lines"], two["trades"], two["appended_before"]) == (1, 0, 1)
    assert one["appended_before"] == 0
    gone = tally.dropped(facts)
    assert {chain: offsets.tolist() for chain, offsets in gone.items()} == {CHAIN: [2, 4, 10]}


def test_nothing_odd_takes_nothing_back() -> None:
    facts = tally.no_facts()
    (only,) = tally.counts(Tally([told(ONE, "trades", [0, 1], [1, 2])]), facts)
    assert (only["lines"], only["trades"], only["rejects"]) == (2, 2, 0)
    assert tally.dropped(facts) == {}
