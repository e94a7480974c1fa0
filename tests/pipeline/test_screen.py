"""Exactly what a run shows."""

import io
from decimal import Decimal

import pytest
from rich.console import Console

from pipeline.screen import Screen


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def screen(out: io.StringIO) -> Screen:
    return Screen(Console(file=out, width=60), 12)


def lines(out: io.StringIO) -> list[str]:
    return [line.rstrip() for line in out.getvalue().splitlines()]


def cells(out: io.StringIO) -> list[list[str]]:
    """The table's words, row by row, without its title and rules."""
    return [line.split() for line in lines(out)[1:] if line.strip(" ─")]


def test_stages_are_counted_timed_and_told(screen: Screen, out: io.StringIO) -> None:
    screen.finished("stack up", 12.04, "Kafka, store, lander")
    screen.finished("lake", 141.5, "[1] read: " + "x" * 60)

    assert lines(out) == [
        "[ 1/12] stack up           12.0 s  Kafka, store, lander",
        "[ 2/12] lake              141.5 s  [1] read: " + "x" * 60,
    ]


def test_a_table_has_the_rows_in_order_and_the_first_ones_keys_on_top(
    screen: Screen, out: io.StringIO
) -> None:
    screen.table(
        "Records [per] stage",
        [
            {"topic/partition": "bars/1", "kafka": 5619, "gap": 0},
            {"topic/partition": "quotes/10", "kafka": 1234567, "gap": None},
        ],
    )

    assert lines(out)[0] == "Records [per] stage"
    assert cells(out) == [
        ["topic/partition", "kafka", "gap"],
        ["bars/1", "5,619", "0"],
        ["quotes/10", "1,234,567"],
    ]


def test_numbers_stand_right_and_words_left(screen: Screen, out: io.StringIO) -> None:
    screen.table("t", [{"name": "a", "count": 1}, {"name": "longer", "count": 1000}])

    one, thousand = (line for line in lines(out) if line.strip().startswith(("a ", "longer")))
    assert len(one) == len(thousand)
    assert one.index("a") == thousand.index("longer")


def test_values_are_shown_as_people_read_them(screen: Screen, out: io.StringIO) -> None:
    row = {"price": Decimal("1430.470000"), "whole": Decimal("200.000000"), "is_sim": False}

    screen.table("t", [row, {**row, "is_sim": True}])

    assert cells(out)[1:] == [["1,430.47", "200", "no"], ["1,430.47", "200", "yes"]]


def test_what_comes_from_outside_is_text_and_no_markup(screen: Screen, out: io.StringIO) -> None:
    screen.table("t", [{"symbol": "[red]X[/red]"}, {"symbol": "[/"}])

    assert cells(out)[1:] == [["[red]X[/red]"], ["[/"]]


def test_a_table_without_rows_is_its_title(screen: Screen, out: io.StringIO) -> None:
    screen.table("nothing", [])

    assert [line for line in lines(out) if line] == ["nothing"]


def test_a_terminal_shows_the_running_stage_and_its_seconds() -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out, width=60, force_terminal=True, color_system=None), 3)

    screen.finished("land", 1.0, "done")
    screen.running("lake", 4.4)
    screen.stop()

    assert "[2/3] lake … 4 s" in out.getvalue()
