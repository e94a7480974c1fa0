"""Folders outside the checkout that are built once, checked by checksum, and linked to.

An entry is built under another name and renamed when complete, so that an interrupted set-up or two
at once leave whole entries or none.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

SUMS = "SHA256SUMS"


def root() -> Path:
    """Return the cache's folder."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tapehouse"


def is_intact(entry: Path) -> bool:
    """Return whether an entry holds exactly the files it was made with, byte for byte."""
    recorded = entry / SUMS
    return recorded.is_file() and recorded.read_text() == _sums(entry)


def ensure(entry: Path, build: Callable[[Path], None]) -> None:
    """Make an entry exist and be intact; ``build`` fills the empty folder that it is given."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    _drop_abandoned(entry)
    if is_intact(entry):
        return
    draft = entry.with_name(f".{entry.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        build(draft)
        (draft / SUMS).write_text(_sums(draft))
        _move_in(draft, entry)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _move_in(draft: Path, entry: Path) -> None:
    if entry.exists() and not is_intact(entry):
        _remove(entry)
    try:
        draft.rename(entry)
    except OSError:
        if not is_intact(entry):  # otherwise: another set-up finished the same entry first
            raise


def _drop_abandoned(entry: Path) -> None:
    for draft in entry.parent.glob(f".{entry.name}.*"):
        pid = draft.name.rsplit(".", 1)[1]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(draft, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sums(entry: Path) -> str:
    paths = sorted(p for p in entry.rglob("*") if p.is_file() and p.name != SUMS)
    return "".join(f"{_sha256(path)}  {path.relative_to(entry)}\n" for path in paths)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def link(name: Path, target: Path, entry: Path) -> None:
    """Point a link at something in an entry, and remember the entry as it is now."""
    name.parent.mkdir(parents=True, exist_ok=True)
    draft = name.with_name(f".{name.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    if name.is_dir() and not name.is_symlink():
        _remove(name)
    draft.replace(name)
    _stamp(name).write_text(_glance(entry))


def is_linked(name: Path, target: Path, entry: Path) -> bool:
    """Return whether the link is there and the entry looks as it did when it was checked.

    Sizes and times of change are compared, not checksums: this runs before every command.
    """
    if not name.is_symlink() or name.readlink() != target or not entry.is_dir():
        return False
    stamp = _stamp(name)
    return stamp.is_file() and stamp.read_text() == _glance(entry)


def _stamp(name: Path) -> Path:
    return name.with_name(f".{name.name}.stamp")


def _glance(entry: Path) -> str:
    stats = {
        p.name: (s.st_size, s.st_mtime_ns) for p in sorted(entry.iterdir()) for s in [p.stat()]
    }
    return json.dumps(stats)


def _remove(path: Path) -> None:
    """Take a folder away in one step, then delete it: nobody sees it half deleted."""
    trash = path.with_name(f".trash.{path.name}.{os.getpid()}")
    path.rename(trash)
    shutil.rmtree(trash)
