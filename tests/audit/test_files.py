"""A file that several audits write at once."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit.files import write


def test_writers_at_once_leave_a_whole_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "stages.json"
    text = json.dumps({"checks": ["x" * 100] * 1_000})

    def writes(_: int) -> None:
        for _ in range(50):
            write(text, path)
            assert path.read_text() == text

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(writes, range(4)))

    assert [file.name for file in path.parent.iterdir()] == ["stages.json"]


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    path.mkdir()

    with pytest.raises(OSError, match="directory"):
        write("new", path)

    assert list(tmp_path.iterdir()) == [path]
