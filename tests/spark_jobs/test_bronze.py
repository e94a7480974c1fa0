"""What is new in bronze, from listings that begin at the position."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.errors import ChainError, StoreUnavailableError
from ingestion.settings import StoreSettings
from spark_jobs import bronze
from spark_jobs.bronze import S3Bronze
from tests.spark_jobs.folder_bronze import FolderBronze, value_line
from tests.spark_jobs.messages import bar


class CountingBronze(FolderBronze):
    listed = 0

    def keys(self, prefix: str, start_after: str) -> Iterator[str]:
        for key in super().keys(prefix, start_after):
            self.listed += 1
            yield key


@pytest.fixture
def store(tmp_path: Path) -> CountingBronze:
    found = CountingBronze(tmp_path)
    for offset in range(30):
        found.land("t", [value_line(offset, bar())], offset)
    return found


def starts(store: CountingBronze, position: int) -> list[int]:
    store.listed = 0
    return [item.start for item in bronze.beyond(store, ("t",), lambda _: position)]


def test_everything_is_new_at_the_beginning(store: CountingBronze) -> None:
    assert starts(store, 0) == list(range(30))


def test_only_what_lies_beyond_is_listed(store: CountingBronze) -> None:
    assert starts(store, 27) == [27, 28, 29]
    assert store.listed == 3
    assert starts(store, 30) == []


def test_what_another_run_has_covered_meanwhile_is_no_longer_left(store: CountingBronze) -> None:
    store.land("t", [value_line(0, bar())], 0, partition=1)
    listed = bronze.beyond(store, ("t",), lambda _: 0)

    reached = {0: 20, 1: 0}
    found = bronze.left(listed, lambda chain: reached[chain.partition])
    assert [(item.chain.partition, item.start) for item in found] == [
        *((0, start) for start in range(20, 30)),
        (1, 0),
    ]
    assert bronze.left(listed, lambda _: 40) == []


def test_a_position_at_which_no_object_ends_breaks_the_chain(tmp_path: Path) -> None:
    store = CountingBronze(tmp_path)
    store.land("t", [value_line(i, bar()) for i in range(4)], 0)
    store.land("t", [value_line(4, bar())], 4)
    listed = bronze.beyond(store, ("t",), lambda _: 0)
    with pytest.raises(ChainError, match="go on at 2"):
        bronze.left(listed, lambda _: 2)


def test_a_hole_breaks_the_chain(store: CountingBronze) -> None:
    next(store.root.glob("t/*/*/*11.jsonl.zst")).unlink()
    with pytest.raises(ChainError, match="go on at 11"):
        starts(store, 0)


def test_a_position_inside_an_object_breaks_the_chain(tmp_path: Path) -> None:
    store = CountingBronze(tmp_path)
    store.land("t", [value_line(i, bar()) for i in range(4)], 0)
    store.land("t", [value_line(4, bar())], 4)
    with pytest.raises(ChainError, match="go on at 2"):
        starts(store, 2)


def test_retention_may_have_removed_the_beginning(tmp_path: Path) -> None:
    store = FolderBronze(tmp_path)
    store.land("t", [value_line(40, bar())], 40)
    assert starts(store, 0) == [40]


def test_a_foreign_folder_is_named(store: CountingBronze) -> None:
    (store.root / "t" / "g=x" / "stray").mkdir(parents=True)
    with pytest.raises(ChainError, match="stray"):
        starts(store, 0)


def test_a_store_that_does_not_answer_is_named_soon() -> None:
    keys = {"lake_access_key": "a", "lake_secret_key": "bbbbbbbb"}
    client = S3Bronze.connect(StoreSettings(endpoint="http://127.0.0.1:1", **keys))
    with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:1"):
        client.folders("")
