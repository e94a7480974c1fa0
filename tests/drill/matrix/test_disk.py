import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from drill.matrix.disk import SmallDisk, unmount_below, why_no_disk
from ingestion.errors import StackError


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    if reason := why_no_disk():
        pytest.skip(reason)
    with SmallDisk(tmp_path / "small", mebibytes=1) as made:
        yield made


def test_a_full_disk_takes_not_a_byte_until_it_is_freed(disk: SmallDisk) -> None:
    assert not disk.is_full()

    assert 2**19 < disk.fill() <= 2**20
    assert disk.is_full()
    with pytest.raises(OSError, match="No space left") as failure:
        (disk.folder / "more").write_text("x")
    assert failure.value.errno == errno.ENOSPC

    disk.free()
    (disk.folder / "more").write_text("x")
    assert not disk.is_full()


def test_what_a_killed_drill_left_mounted_is_found_by_its_folder(tmp_path: Path) -> None:
    if reason := why_no_disk():
        pytest.skip(reason)
    left = SmallDisk(tmp_path / "home" / "left", mebibytes=1)
    (left.folder / "file").touch()

    unmount_below(tmp_path / "home")

    assert list(left.folder.iterdir()) == []
    with pytest.raises(StackError, match="umount"):
        left.close()
