import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from drill.matrix.cluster import forget
from drill.matrix.disk import SmallDisk, on_small_disk, why_no_disk
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


def test_a_folder_in_which_a_killed_drill_left_a_mount_is_deleted(tmp_path: Path) -> None:
    if reason := why_no_disk():
        pytest.skip(reason)
    home = tmp_path / "a home"
    left = SmallDisk(home / "left", mebibytes=1)
    (left.folder / "file").touch()

    forget(home)

    assert not home.exists()
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


def test_a_cluster_that_never_was_is_forgotten_in_silence(tmp_path: Path) -> None:
    forget(tmp_path / "never")


def test_what_cannot_be_deleted_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("not a folder")
    with pytest.raises(NotADirectoryError):
        forget(tmp_path / "home")
