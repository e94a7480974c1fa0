"""What a letter is known by, and which letters a filter covers."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ingestion.produce import dead_letters
from ingestion.produce.redrive.letters import Letter, State, Wanted, note
from ingestion.produce.redrive.shelf import Shelf
from ingestion.sources.source import Refused

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def letter(place: str = "0/7", body: bytes = b"{}", **changes: Any) -> Letter:
    refused = Refused(body, "stock-quotes", "contract", "Expected a Symbol")
    made = dead_letters.letter(refused, "partner", "run-1", AT)
    headers = dict(made.headers) | {name: value.encode() for name, value in changes.items()}
    return Letter(place, 1_700_000_000_000, made.value, tuple(headers.items()))


def test_a_letter_is_the_same_wherever_it_lies() -> None:
    assert letter("0/7").id == letter("0a0a0a0a/0/7").id
    others = {letter(body=b"{ }").id, letter(run_id="run-2").id, letter(more="").id}
    assert len(others | {letter().id}) == 4


def test_a_note_names_its_letter_and_is_none() -> None:
    made = note(letter(), ["e1"], "run-9", AT)

    read = Letter("0/8", 0, made.value, tuple((n, bytes(v or b"")) for n, v in made.headers))
    assert (made.topic, read.noted) == ("stock-market-dlq", letter().id)
    assert json.loads(made.value)["event_ids"] == ["e1"]
    assert letter().noted is None


@pytest.mark.parametrize("told", ["", "no time", "\\udc80"])
def test_without_a_readable_time_kafkas_is_taken(told: str) -> None:
    assert letter(failed_at=told).failed_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wanted", "is_covered"),
    [
        (Wanted(), True),
        (Wanted(letters=("0/7",)), True),
        (Wanted(letters=("0/70", letter().id[:12])), True),
        (Wanted(letters=("0/70",)), False),
        (Wanted(reasons=frozenset({"too_large", "contract"})), True),
        (Wanted(reasons=frozenset({"too_large"})), False),
        (Wanted(sources=frozenset({"yahoo"})), False),
        (Wanted(topics=frozenset({"stock-quotes"}), run_ids=frozenset({"run-1"})), True),
        (Wanted(topics=frozenset({"stock-quotes"}), run_ids=frozenset({"run-2"})), False),
        (Wanted(since=AT), True),
        (Wanted(until=AT), False),
        (Wanted(text="expected a sym"), True),
        (Wanted(text="price"), False),
    ],
)
def test_what_a_filter_covers(wanted: Wanted, is_covered: bool) -> None:
    assert wanted.covers(letter()) is is_covered
    assert wanted.is_all is (wanted == Wanted())


def test_the_state_of_a_letter_is_told_by_notes_of_any_place() -> None:
    done, waiting = letter("0/1", b"1"), letter("0/2", b"2")
    cut = letter("0/3", b"3", size="2000000", sha256="0" * 64)
    told = note(done, [], "run", AT)
    noted = Letter("0/9", 0, told.value, tuple((n, bytes(v or b"")) for n, v in told.headers))

    here = Shelf(lambda: iter([done, noted, waiting, cut]), (lambda: iter([noted]),))
    elsewhere = Shelf(lambda: iter([done, waiting, cut]), (lambda: iter([]), lambda: iter([noted])))

    expected = [(done, State.REDRIVEN), (waiting, State.WAITING), (cut, State.CUT)]
    assert list(here) == list(elsewhere) == expected
