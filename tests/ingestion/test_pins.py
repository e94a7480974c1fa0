"""What warehouses tell of how far they have come."""

from pathlib import Path

import pytest

from ingestion import pins
from ingestion.errors import LakeError
from ingestion.pins import Pins


def test_each_consumer_has_its_own_file_and_keeps_other_tables(tmp_path: Path) -> None:
    folder = tmp_path / "pins"
    assert pins.read(folder) == {}

    Pins(folder, "one").set("silver.bars", 1)
    Pins(folder, "one").set("silver.rejects", 2)
    Pins(folder, "other").set("silver.bars", 3)

    assert pins.read(folder) == {
        "one": {"silver.bars": 1, "silver.rejects": 2},
        "other": {"silver.bars": 3},
    }


def test_no_snapshot_says_nothing_and_the_same_one_writes_nothing(tmp_path: Path) -> None:
    mine = Pins(tmp_path, "one")
    mine.set("silver.bars", None)
    assert pins.read(tmp_path) == {}
    mine.set("silver.bars", 1)
    (tmp_path / "one.json").unlink()
    mine.set("silver.bars", 1)
    assert pins.read(tmp_path) == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"silver.bars": "x"}', '{"silver.bars": null}'])
def test_a_file_that_cannot_be_read_is_no_permission(tmp_path: Path, text: str) -> None:
    (tmp_path / "one.json").write_text(text)

    with pytest.raises(LakeError, match=r"one\.json: expected snapshots by table"):
        pins.read(tmp_path)
