"""Numbers as text, and cells that no spreadsheet runs; the treemap's geometry."""

import csv
import io
from decimal import Decimal

import pytest

from dashboards.web import text
from dashboards.web.treemap import Box, squarify
from tests.dashboards.web.node import play


def test_numbers_as_text() -> None:
    assert text.price(Decimal("430.470000")) == "430.47"
    assert text.price(0.7512) == "0.7512"
    assert text.price(None) == "–"
    assert text.percent(-2.476212) == "−2.48%"
    assert text.percent(0.5) == "+0.50%"
    assert text.compact(19_730_300) == "19.73M"
    assert text.compact(999) == "999"
    assert [text.arrow(value) for value in (1, -1, 0, None)] == ["▲", "▼", "", ""]


PRICES = {
    0: "0.00", 10: "10.00", 10.125: "10.13", 10.135: "10.14", 1.005: "1.01", -2.675: "-2.68",
    0.7512: "0.7512", 0.00005: "0.0001", 0.99996: "1.0000", 1234567.895: "1,234,567.90",
}  # fmt: skip
VOLUMES = {
    0: "0", 2.5: "3", 999: "999", 1_125: "1.13K", 999_999: "1,000.00K", 19_730_300: "19.73M",
    2_345_000_000: "2.35B", 4e15: "4,000.00T",
}  # fmt: skip


def test_the_browser_writes_numbers_as_the_server_does() -> None:
    """What is under the pointer stands in the place of what is there at rest."""
    assert [text.price(value) for value in PRICES] == list(PRICES.values())
    assert [text.price(Decimal(str(value))) for value in PRICES] == list(PRICES.values())
    assert [text.compact(value) for value in VOLUMES] == list(VOLUMES.values())
    for name, cases in (("price", PRICES), ("compact", VOLUMES)):
        program = f"given => given.map(value => it.{name}(value))"
        assert play("text.js", program, list(cases)) == list(cases.values())


@pytest.mark.parametrize("bad", ["=1+1", "+1", "-cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_of_text_is_a_formula(bad: str) -> None:
    written = text.csv_of(["name", "=head"], [[bad, 1]])
    header, row = csv.reader(io.StringIO(written, newline=""))
    assert row[0] == f"'{bad}"
    assert header[1] == "'=head"


def test_numbers_and_plain_text_are_not_harmed() -> None:
    written = text.csv_of(["a"], [[-1.5, Decimal("-2.50"), -3, "AAPL", 'say "hi", twice', None]])
    (_, row) = csv.reader(io.StringIO(written, newline=""))
    assert row == ["-1.5", "-2.50", "-3", "AAPL", 'say "hi", twice', ""]


@pytest.mark.parametrize("sizes", [[1.0], [6, 6, 4, 3, 2, 2, 1], [1e9, 1.0], [1.0] * 500])
def test_tiles_fill_the_map_by_size_and_do_not_overlap(sizes: list[float]) -> None:
    whole = Box(0, 0, 190, 100)
    boxes = squarify(sizes, whole)
    total = sum(sizes)
    assert len(boxes) == len(sizes)
    for size, box in zip(sizes, boxes, strict=True):
        assert box.width * box.height == pytest.approx(size / total * 19_000)
        assert -1e-3 <= box.left <= box.left + box.width <= 190 + 1e-3
        assert -1e-3 <= box.top <= box.top + box.height <= 100 + 1e-3
    if len(sizes) < 10:
        for number, one in enumerate(boxes):
            for other in boxes[number + 1 :]:
                across = min(one.left + one.width, other.left + other.width) - max(
                    one.left, other.left
                )
                down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
                assert min(across, down) <= 1e-6


def test_tiles_are_as_square_as_in_the_paper() -> None:
    boxes = squarify([6, 6, 4, 3, 2, 2, 1], Box(0, 0, 6, 4))
    assert boxes[0] == pytest.approx(Box(0, 0, 3, 2))
    assert max(max(b.width / b.height, b.height / b.width) for b in boxes) < 3
