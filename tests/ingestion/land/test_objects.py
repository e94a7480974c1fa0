import hashlib

import pytest

from ingestion.errors import ChainError
from ingestion.land import objects
from ingestion.land.protocol import Kind, Partition
from tests.ingestion.land.world import GENERATION, P0, chunk

NAME = f"stock-quotes/g={GENERATION}/p=00007/00000000000000000123.jsonl.zst"


def test_a_key_has_topic_generation_partition_and_first_offset_only() -> None:
    assert objects.key(Partition("stock-quotes", 7), GENERATION, 123) == NAME
    assert objects.parse_key(NAME) == (Partition("stock-quotes", 7), GENERATION, 123)


@pytest.mark.parametrize("name", ["", NAME + "x", NAME.replace("p=", "q="), "/" + NAME])
def test_other_keys_are_refused(name: str) -> None:
    with pytest.raises(ChainError, match="expected the key"):
        objects.parse_key(name)


def test_keys_sort_as_their_offsets_do() -> None:
    starts = [0, 9, 10, 10**12, 2**63 - 1]
    keys = [objects.key(P0, GENERATION, start) for start in starts]
    assert keys == sorted(keys)


def test_an_object_is_built_and_verified() -> None:
    chunks = (chunk(3, 5), chunk(6))
    body, head = objects.build(3, 8, Kind.DATA, chunks)
    assert (head.start, head.next, head.count, head.kind) == (3, 8, 3, Kind.DATA)
    assert head.sha256 == hashlib.sha256(body).hexdigest()
    assert objects.verify(3, objects.metadata(head), body) == head
    assert objects.decompress(body) == chunks[0].blob + chunks[1].blob


def test_a_gap_is_an_empty_object_without_times() -> None:
    body, head = objects.build(3, 8, Kind.GAP, ())
    assert objects.decompress(body) == b""
    assert set(objects.metadata(head)) == {"next", "count", "sha256", "kind"}
    assert objects.verify(3, objects.metadata(head), body) == head


@pytest.mark.parametrize(
    "change",
    [
        {"next": "3"},
        {"next": "x"},
        {"count": "9"},
        {"count": "-1"},
        {"kind": "other"},
        {"kind": "gap"},
        {"sha256": "0" * 64},
        {"min-timestamp": "x"},
    ],
)
def test_metadata_that_contradicts_itself_or_the_bytes_is_refused(change: dict[str, str]) -> None:
    body, head = objects.build(3, 8, Kind.DATA, (chunk(3, 5),))
    with pytest.raises(ChainError):
        objects.verify(3, objects.metadata(head) | change, body)


def test_missing_metadata_is_refused() -> None:
    with pytest.raises(ChainError):
        objects.head_of(3, {})


def test_what_is_no_zstd_is_refused() -> None:
    with pytest.raises(ChainError):
        objects.decompress(b"nonsense")
