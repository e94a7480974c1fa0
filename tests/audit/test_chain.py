from random import Random

from hypothesis import given
from hypothesis import strategies as st

from audit.chain import Break, Link, breaks, parse_key
from audit.model import Partition

GENERATION = "0123456789abcdef0123456789abcdef"


def chain_of(lengths: list[int]) -> list[Link]:
    links, position = [], 0
    for length in lengths:
        links.append(Link(f"k{position}", position, position + length))
        position += length
    return links


lengths = st.lists(st.integers(1, 1000), min_size=2, max_size=30)


@given(lengths, st.randoms())
def test_a_chain_holds_in_whatever_order_it_is_listed(parts: list[int], random: Random) -> None:
    links = chain_of(parts)
    random.shuffle(links)
    assert breaks(links) == []


@given(lengths, st.data())
def test_any_object_but_the_last_leaves_its_own_interval_as_the_gap(
    parts: list[int], data: st.DataObject
) -> None:
    links = chain_of(parts)
    lost = links.pop(data.draw(st.integers(0, len(links) - 2)))
    found = breaks(links)
    assert [(b.kind, b.first, b.last) for b in found] == [("gap", lost.start, lost.next)]


@given(lengths, st.data())
def test_a_skipped_offset_is_named(parts: list[int], data: st.DataObject) -> None:
    links = chain_of([length + 1 for length in parts])
    place = data.draw(st.integers(0, len(links) - 1))
    link = links[place]
    links[place] = Link(link.key, link.start + 1, link.next)
    assert [(b.kind, b.offsets()) for b in breaks(links)] == [("gap", [link.start])]


def test_an_overlap_names_the_offsets_in_both() -> None:
    assert breaks([Link("a", 0, 10), Link("b", 8, 12)]) == [Break("overlap", 8, 10, "b")]


def test_an_object_inside_another_does_not_hide_the_next_gap() -> None:
    found = breaks([Link("a", 0, 10), Link("b", 2, 4), Link("c", 11, 12)])
    assert [(b.kind, b.first, b.last) for b in found] == [("overlap", 2, 4), ("gap", 10, 11)]


def test_an_object_without_an_end_or_without_an_interval_is_no_link() -> None:
    assert [b.kind for b in breaks([Link("a", 0, None), Link("b", 5, 6)])] == ["no end"]
    assert [b.kind for b in breaks([Link("a", 0, 0)])] == ["empty"]


def test_a_key_is_parsed_to_its_partition_and_first_offset() -> None:
    key = f"stock-quotes/g={GENERATION}/p=00002/00000000000000000040.jsonl.zst"
    assert parse_key(key) == (Partition("stock-quotes", GENERATION, 2), 40)


def test_what_is_almost_a_key_is_none() -> None:
    good = f"t/g={GENERATION}/p=00002/00000000000000000040.jsonl.zst"
    bad = [
        good + "\n",
        good.replace("p=00002", "p=2"),
        good.replace("0000040", "000040"),
        good.replace("abcdef", "ABCDEF"),
        good.removesuffix(".zst"),
        f"bronze/{good}",
        "t/",
    ]
    assert [key for key in bad if parse_key(key)] == []
