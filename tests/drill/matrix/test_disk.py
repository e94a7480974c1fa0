import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from drill.matrix.disk import SmallDisk, on_small_disk, unmount_below, why_no_disk
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


def test_a_folder_goes_to_a_small_disk_and_comes_back_with_what_was_written(tmp_path: Path) -> None:
    if reason := why_no_disk():
        pytest.skip(reason)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "old").write_text("before")

    with on_small_disk(folder, spare_mebibytes=1) as disk:
        assert (folder / "old").read_text() == "before"
        (folder / "new").write_text("on the small disk")
        assert disk.fill() <= 2 * 2**20
        disk.free()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    assert (folder / "old").read_text() == "before"
    assert (folder / "new").read_text() == "on the small disk"
