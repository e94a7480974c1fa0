from pathlib import Path

import pytest

from drill.matrix.errors import ViolatedError
from drill.matrix.rows.copies import judge_copies

FIRST = (
    b'{"op":"intend","id":"a"}\n{"op":"acked","id":"a"}\n'
    b'{"op":"intend","id":"b"}\n{"op":"intend","id":"c"}\n{"op":"ack'
)
SECOND = b"".join(b'{"op":"acked","id":"%c"}\n' % letter for letter in b"abcd")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    (tmp_path / "first.jsonl").write_bytes(FIRST)
    (tmp_path / "second.jsonl").write_bytes(SECOND)
    return tmp_path


@pytest.mark.parametrize("found", [1, 2, 3])
def test_copies_lie_between_what_was_confirmed_and_what_was_intended(
    ledger: Path, found: int
) -> None:
    assert judge_copies(ledger / "first.jsonl", ledger / "second.jsonl", found) == (1, 3)


@pytest.mark.parametrize("found", [0, 4])
def test_other_counts_of_copies_are_a_violation(ledger: Path, found: int) -> None:
    with pytest.raises(ViolatedError, match=f"1 to 3 records were sent twice.* {found}"):
        judge_copies(ledger / "first.jsonl", ledger / "second.jsonl", found)


def test_nothing_sent_twice_is_a_violation(ledger: Path) -> None:
    (ledger / "first.jsonl").write_bytes(b"")

    with pytest.raises(ViolatedError, match="0 to 0"):
        judge_copies(ledger / "first.jsonl", ledger / "second.jsonl", 0)
