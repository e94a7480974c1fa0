import threading
from pathlib import Path

import pytest

from infra.setup import cache


class Builder:
    """Fills an entry, and counts how often it had to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        (folder / "a.jar").write_bytes(b"a" * 1000)
        (folder / "b.jar").write_bytes(b"b" * 1000)


@pytest.fixture
def build() -> Builder:
    return Builder()


def test_an_entry_is_built_once(tmp_path: Path, build: Builder) -> None:
    for _ in range(3):
        cache.ensure(tmp_path / "jars" / "kafka-1", build)

    assert build.calls == 1
    assert (tmp_path / "jars" / "kafka-1" / "a.jar").read_bytes() == b"a" * 1000


@pytest.mark.parametrize("damage", ["changed", "truncated", "deleted", "added", "unlisted"])
def test_a_damaged_entry_is_built_again(tmp_path: Path, build: Builder, damage: str) -> None:
    entry = tmp_path / "kafka-1"
    cache.ensure(entry, build)
    jar = entry / "a.jar"
    {
        "changed": lambda: jar.write_bytes(b"x" * 1000),
        "truncated": lambda: jar.write_bytes(b"a" * 10),
        "deleted": jar.unlink,
        "added": lambda: (entry / "c.jar").write_bytes(b"c"),
        "unlisted": (entry / cache.SUMS).unlink,
    }[damage]()

    cache.ensure(entry, build)

    assert build.calls == 2
    assert cache.is_intact(entry)
    assert sorted(p.name for p in entry.iterdir()) == [cache.SUMS, "a.jar", "b.jar"]


def test_a_build_that_fails_leaves_no_entry(tmp_path: Path, build: Builder) -> None:
    def broken(folder: Path) -> None:
        (folder / "a.jar").write_bytes(b"half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        cache.ensure(tmp_path / "kafka-1", broken)

    assert list(tmp_path.iterdir()) == []
    cache.ensure(tmp_path / "kafka-1", build)
    assert cache.is_intact(tmp_path / "kafka-1")


def test_what_a_killed_set_up_left_is_removed(tmp_path: Path, build: Builder) -> None:
    dead = tmp_path / ".kafka-1.4194304"  # above the kernel's largest process id
    dead.mkdir()

    cache.ensure(tmp_path / "kafka-1", build)

    assert not dead.exists()


def test_two_at_once_end_with_one_whole_entry(tmp_path: Path) -> None:
    entry = tmp_path / "kafka-1"
    other = Builder()

    def slow(folder: Path) -> None:
        cache_of_another_process = tmp_path / "elsewhere"
        cache.ensure(cache_of_another_process, other)
        cache_of_another_process.rename(entry)
        Builder()(folder)

    cache.ensure(entry, slow)

    assert cache.is_intact(entry)
    assert [p.name for p in tmp_path.iterdir()] == ["kafka-1"]


def test_readers_never_miss_a_linked_file_while_a_copy_is_replaced(
    tmp_path: Path, build: Builder
) -> None:
    entry, name = tmp_path / "cache" / "kafka-1", tmp_path / "tools" / "kafka-jars"
    cache.ensure(entry, build)
    cache.link(name, entry, entry)
    stop, missing = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            if not (name / "a.jar").exists():
                missing.append(1)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(200):
        cache.link(name, entry, entry)
    stop.set()
    reader.join()

    assert not missing


def test_a_link_is_ready_until_its_entry_changes(tmp_path: Path, build: Builder) -> None:
    entry, name = tmp_path / "cache" / "kafka-1", tmp_path / "tools" / "kafka-jars"
    cache.ensure(entry, build)
    assert not cache.is_linked(name, entry, entry)

    cache.link(name, entry, entry)
    assert cache.is_linked(name, entry, entry)

    (entry / "a.jar").write_bytes(b"y" * 1000)
    assert not cache.is_linked(name, entry, entry)


def test_a_real_folder_in_the_place_of_the_link_gives_way(tmp_path: Path, build: Builder) -> None:
    entry, name = tmp_path / "cache" / "kafka-1", tmp_path / "tools" / "kafka-jars"
    cache.ensure(entry, build)
    name.mkdir(parents=True)
    (name / "old.jar").touch()

    cache.link(name, entry, entry)

    assert name.readlink() == entry
    assert sorted(p.name for p in name.parent.iterdir()) == [".kafka-jars.stamp", "kafka-jars"]


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.root() == tmp_path / "tapehouse"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.root() == tmp_path / "home" / ".cache" / "tapehouse"
