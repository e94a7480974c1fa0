"""A small file system that can be filled to the last byte, and freed again."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import psutil

from drill.matrix.tools import run

_BALLAST: Final = ".ballast"
_BLOCK: Final = 4096
_SECTOR: Final = 512  # what st_blocks counts


class SmallDisk:
    """A tmpfs of some MiB at a folder of this machine; needs root."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        """Mount it over ``folder``, which is made where it is not there.

        Raises:
            StackError: the machine refuses.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=700", "drill", str(self.folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fill(self) -> int:
        """Leave not a byte for anybody; return the bytes taken."""
        with (self.folder / _BALLAST).open("ab", buffering=0) as file:
            while True:
                try:
                    file.write(b"\0" * _BLOCK)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    return file.tell()

    def is_full(self) -> bool:
        """Tell whether nothing more can be written; the proof, as the kernel says it."""
        return os.statvfs(self.folder).f_bavail == 0

    def free(self) -> None:
        """Give back what was taken."""
        (self.folder / _BALLAST).unlink()

    def close(self) -> None:
        """Unmount it, also where a process that is about to end still has files open there."""
        run("umount", "--lazy", str(self.folder))


@contextmanager
def on_small_disk(folder: Path, spare_mebibytes: int) -> Iterator[SmallDisk]:
    """Have what a folder holds on a disk of its own, with some room to spare, for a while.

    Nobody may use the folder when it goes there and when it comes back.
    """
    kept = folder.with_name(f"{folder.name}.kept")
    folder.rename(kept)
    disk = SmallDisk(folder, _mebibytes(kept) + spare_mebibytes)
    try:
        _copy(kept, folder)
        yield disk
        back = folder.with_name(f"{folder.name}.back")
        _copy(folder, back)
        shutil.rmtree(kept)
        back.rename(kept)
    finally:
        disk.close()
        folder.rmdir()
        kept.rename(folder)


def why_no_disk() -> str | None:
    """Return why this machine mounts no small file system; None where it does."""
    if os.geteuid() != 0:
        return "not root: mounting a small tmpfs is not allowed"
    return None


def unmount_below(folder: Path) -> None:
    """Unmount what a drill that was killed has left mounted below ``folder``.

    Raises:
        StackError: the machine refuses.
    """
    if why_no_disk():
        return  # then no drill has mounted anything
    inside = f"{folder.resolve()}/"
    points = [one.mountpoint for one in psutil.disk_partitions(all=True)]
    for point in reversed([one for one in points if one.startswith(inside)]):
        run("umount", "--lazy", point)


def _mebibytes(folder: Path) -> int:
    sizes = (path.stat().st_blocks * _SECTOR for path in folder.rglob("*"))
    return sum(sizes) // 2**20 + 1


def _copy(source: Path, target: Path) -> None:
    run("cp", "--archive", "--sparse=always", f"{source}/.", str(target))
