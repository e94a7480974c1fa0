"""The producers' ledger as a file: what is legal in it, what is not, and what is read of it."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from audit.errors import UnreadableError
from audit.ledger import Ledger, identity, value_hash

TOPIC = "stock-quotes"


def opened(run: str = "r") -> dict[str, Any]:
    return {"op": "open", "version": 1, "run_id": run, "at": "2026-01-01T00:00:00Z"}


def intend(name: str, value: bytes = b"v", topic: str = TOPIC) -> dict[str, Any]:
    digest = hashlib.sha256(value).hexdigest()
    return {"op": "intend", "id": name, "topic": topic, "key": None, "sha256": digest}


def acked(name: str, offset: int, partition: int = 0, topic: str = TOPIC) -> dict[str, Any]:
    place = {"topic": topic, "partition": partition, "offset": offset}
    return {"op": "acked", "id": name, **place}


def outcome(op: str, name: str) -> dict[str, Any]:
    return {"op": op, "id": name, "reason": "why"}


def text(lines: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_every_outcome_is_read(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    lines = [opened(), intend("a"), acked("a", 7, 3), outcome("failed", "b"), intend("c")]
    file.write_text(text([*lines, outcome("unknown", "c")]))
    book = Ledger(tmp_path).read()
    assert book.intended.ids.tolist() == [identity("a"), identity("c")]
    assert book.intended.values.tolist() == [value_hash(b"v")] * 2
    acks = book.acked
    assert (acks.ids[0], acks.partitions[0], acks.offsets[0]) == (identity("a"), 3, 7)
    assert book.failed.tolist() == [identity("b")]
    assert book.unknown.tolist() == [identity("c")]


def test_a_torn_last_line_is_legal_and_read_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    whole = text([opened(), intend("a"), intend("b")])
    file.write_text(whole[:-9])
    ledger = Ledger(tmp_path)
    assert ledger.read().intended.ids.tolist() == [identity("a")]
    file.write_text(whole)
    (tmp_path / "later.jsonl").write_text(text([opened("later"), intend("c")]))
    assert ledger.read().intended.ids.tolist() == [identity(name) for name in "acb"]


def test_a_file_without_a_whole_line_is_a_producer_that_was_killed_at_once(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"op":"op')
    assert not len(Ledger(tmp_path).read().intended.ids)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{}", "line 3: expected a ledger line, found b'{}'"),
        ("", "line 3: expected a ledger line"),
        ('{"op":"sent","id":"a"}', "line 3: expected a ledger line"),
        (text([acked("a", -1)]).strip(), "line 3: expected a ledger line"),
        (text([intend("a") | {"sha256": "zz"}]).strip(), "line 3: expected 64 hex digits"),
        (text([opened()]).strip(), "line 3: expected no second open"),
        ('{"op":"intend","id":"\\ud800"', "line 3: expected a ledger line"),
    ],
)
def test_any_other_malformed_line_is_named(tmp_path: Path, wrong: str, said: str) -> None:
    (tmp_path / "r.jsonl").write_text(
        text([opened(), intend("a")]) + wrong + "\n" + text([intend("b")])
    )
    with pytest.raises(UnreadableError, match=f"r.jsonl, {said}"):
        Ledger(tmp_path).read()


@pytest.mark.parametrize("first", [intend("a"), opened() | {"version": 2}])
def test_the_first_line_opens_a_file_of_a_known_version(
    tmp_path: Path, first: dict[str, Any]
) -> None:
    (tmp_path / "r.jsonl").write_text(text([first]))
    with pytest.raises(UnreadableError, match="line 1: expected"):
        Ledger(tmp_path).read()


def test_a_folder_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no such folder"):
        Ledger(tmp_path / "none").read()


def test_ids_are_named_again(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(text([opened(), intend("a"), intend("b")]))
    assert Ledger(tmp_path).find([identity("b"), identity("x")]) == {identity("b"): "b"}
