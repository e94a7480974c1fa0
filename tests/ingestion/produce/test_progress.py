"""What a person who waits is shown of a run, where there is no terminal: a line now and then."""

import io

import pytest
from rich.console import Console

from ingestion.produce.progress import Done, shown
from ingestion.produce.providers_table import table
from ingestion.produce.summary import Summary
from tests.ingestion.sources.providers import FakeClock


def lines(capsys: pytest.CaptureFixture[str], done: Done | None) -> list[str]:
    clock, summary = FakeClock(), Summary()
    summary.sent["stock-quotes"] = 1234
    console = Console(file=io.StringIO())
    with shown(clock, console, done) as progress:
        progress(summary)
        clock.sleep(11)
        progress(summary)
    return capsys.readouterr().err.splitlines()


def test_symbols_are_told_where_it_is_known_how_many_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lines(capsys, lambda: (3, 1000)) == [
        "symbols 3 of 1,000  sent 1,234  delivered 0  refused 0",
    ]
    assert lines(capsys, None) == ["sent 1,234  delivered 0  refused 0"]


def test_a_terminal_has_a_bar_of_the_symbols() -> None:
    clock, out = FakeClock(), io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with shown(clock, console, lambda: (3, 10)) as progress:
        clock.sleep(1)
        progress(Summary())
    assert "symbols 3 of 10" in out.getvalue()


def test_a_row_says_what_a_provider_gave_and_what_is_left() -> None:
    out = io.StringIO()
    guard = {"requests": 12, "retried": 1, "rate_limited": 1, "failed": 0, "not_sent": 0}
    rows = {
        "finnhub": {"fetched": 10_000, "refused": 2, "sent": 9_999, **guard, "waited_s": 3.5,
                    "left": {"30/second": 29, "60/minute": 48}},
        "yahoo": {"fetched": 5, "refused": 0},
    }  # fmt: skip
    Console(file=out, width=160).print(table(rows))

    cells = [line.split() for line in out.getvalue().splitlines() if line.strip()]
    left = ["29", "of", "30/second,", "48", "of", "60/minute"]
    assert ["finnhub", "10,000", "2", "9,999", "12", "1", "1", "0", "0", "3.5", *left] in cells
    assert ["yahoo", "5", "0", *["-"] * 8] in cells
