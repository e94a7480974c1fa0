"""The parts of the stream's drill that could make it green for nothing."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from drill.stream import command, content, stage
from drill.stream.expected import Expected
from drill.stream.market import Record
from drill.stream.stage import Stage, WrongError
from ingestion.errors import StackError

RECORDS = [Record("stock-market-realtime", "A", b"%d" % number) for number in range(240)]
WINDOWS, BARS = content.STREAM


class Lake:
    """Tables' rows, and for each look the batches that the stream's two tables have had."""

    def __init__(self, *looks: tuple[list[int], list[int]], **rows: list[dict[str, Any]]) -> None:
        self._looks = [dict(zip(content.STREAM, look, strict=True)) for look in looks]
        self._rows = rows

    def told(self, name: str, about: str) -> list[str]:
        assert about == "tapehouse.stream"
        batches = self._looks[0][name]
        if name == BARS and len(self._looks) > 1:
            del self._looks[0]
        return [json.dumps({"batch": batch}) for batch in batches]

    def plain(self, name: str) -> list[dict[str, Any]]:
        return self._rows.get(name.partition(".")[2], [])


class Stream:
    def __init__(self) -> None:
        self.killed = False

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None: ...

    def require(self) -> None: ...

    def kill(self) -> None:
        self.killed = True


class Played:
    """A stage without a stack, whose stream only takes notes."""

    def __init__(self, patch: pytest.MonkeyPatch, lake: Lake) -> None:
        self.sent: list[Record] = []
        self.streams = [Stream()]
        patch.setattr(stage, "send", self.sent.extend)
        patch.setattr(stage, "Stream", lambda *_: self.streams[0])
        patch.setattr(stage, "_PIECE_S", 0.0)
        patch.setattr(stage, "_LONGEST_S", 0.0)
        self.stage = object.__new__(Stage)
        self.stage._lake = lake  # type: ignore[assignment]
        self.stage._environment, self.stage._state = {}, Path()
        self.stage._draw = random.Random(1)


def test_it_is_killed_between_its_tables_and_everything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, taken, between = ([0], [0]), ([1, 0], [1, 0]), ([2, 1, 0], [1, 0])
    played = Played(monkeypatch, Lake(before, taken, between))
    monkeypatch.setattr(stage, "_PIECE_S", 0.1)
    told = played.stage._killed_between(RECORDS)
    assert told == "killed with batch 2 in one of its two tables"
    assert played.streams[0].killed
    assert played.sent == RECORDS


def test_a_stream_that_was_never_between_or_no_longer_proves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    never = Played(monkeypatch, Lake(([0], [0]), ([1, 0], [1, 0])))
    with pytest.raises(StackError, match="never seen between"):
        never.stage._killed_between(RECORDS)
    looks = ([0], [0]), ([1, 0], [1, 0]), ([2, 1, 0], [1, 0]), ([2, 1, 0], [2, 1, 0])
    late = Played(monkeypatch, Lake(*looks))
    monkeypatch.setattr(stage, "_PIECE_S", 0.1)
    with pytest.raises(StackError, match="killed too late"):
        late.stage._killed_between(RECORDS)


def test_it_is_killed_at_any_moment_with_trades_on_their_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = Played(monkeypatch, Lake(([0], [0]), ([1, 0], [1, 0])))
    assert played.stage._killed_sometime(RECORDS).endswith("after 220 trades came")
    assert played.streams[0].killed
    assert played.sent == RECORDS


@pytest.mark.parametrize("batches", [[2, 2, 1], [1, 2]])
def test_a_batch_that_came_twice_or_out_of_order_is_red(
    monkeypatch: pytest.MonkeyPatch, batches: list[int]
) -> None:
    sound = Played(monkeypatch, Lake(([2, 1, 0], [2, 0])))
    assert sound.stage._once() == "2 batches, each once in either table"
    doubled = Played(monkeypatch, Lake((batches, [1])))
    with pytest.raises(WrongError, match="each batch once"):
        doubled.stage._once()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"trades": [{}]}, "silver.trades: expected 2"),
        ({"trades": [{}, {}], "rejects": [{"reason": "duplicate"}]}, "silver.rejects"),
        ({"trades": [{}, {}], "anomalies_": []}, None),
    ],
)
def test_a_lake_that_says_something_else_is_red(
    monkeypatch: pytest.MonkeyPatch, rows: dict[str, list[dict[str, Any]]], said: str | None
) -> None:
    played = Played(monkeypatch, Lake(([0], [0]), **rows))
    wanted = Expected()
    wanted.kept["trade.v1"] = 2
    if said is None:
        assert played.stage.compare(wanted).startswith("0 realtime_stock_analytics, 0 trade_bars")
        wanted.daily["A", "s", "2024-11-01"] = {"daily_open": 1}
        said = "metrics.daily_stock_metrics: 1 rows missing"
    with pytest.raises(WrongError, match=said):
        played.stage.compare(wanted)


def test_an_error_is_a_red_seed_and_a_red_seed_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: Any) -> Any:
        raise WrongError("metrics.trade_bars:\n1 rows missing")

    monkeypatch.setattr(command, "own_stack", broken)
    found = command._played(1, 2, tmp_path)
    assert (found.verdict, found.reason) == ("red", "metrics.trade_bars: 1 rows missing")
    assert found.sessions == ["2024-03-08", "2024-03-11"]
    assert found.line("seed 1").startswith("red   seed 1 (")
