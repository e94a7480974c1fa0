from ingestion.produce.confirmed import Confirmed
from ingestion.produce.outgoing import Outgoing


def records(*ids: str) -> list[Outgoing]:
    return [Outgoing("stock-market-batch", b"AAPL", b"{}", [], event_id=name) for name in ids]


def passed(confirmed: Confirmed, *ids: str) -> list[Outgoing]:
    return [record for record in confirmed.passing(records(*ids)) if record is not None]


def test_what_is_confirmed_counts_up_to_the_first_that_is_not() -> None:
    confirmed = Confirmed()
    first, second, third = passed(confirmed, "a", "b", "c")
    assert confirmed.count() == 0
    confirmed.told(second, True)
    assert confirmed.count() == 0
    confirmed.told(first, True)
    assert confirmed.count() == 2
    confirmed.told(third, True)
    assert confirmed.count() == 3


def test_nothing_counts_behind_a_record_that_failed() -> None:
    confirmed = Confirmed()
    first, second, third = passed(confirmed, "a", "b", "c")
    confirmed.told(first, True)
    confirmed.told(second, False)
    confirmed.told(third, True)
    assert confirmed.count() == 1


def test_a_record_that_passes_twice_is_two() -> None:
    confirmed = Confirmed()
    first, _, _ = passed(confirmed, "a", "a", "b")
    confirmed.told(first, True)
    assert confirmed.count() == 1
    confirmed.told(first, True)
    assert confirmed.count() == 2


def test_a_record_of_an_earlier_run_is_none_of_this_one() -> None:
    confirmed = Confirmed()
    list(confirmed.passing(records("a")))
    confirmed.told(records("of another run")[0], True)
    assert confirmed.count() == 0


def test_a_record_that_does_not_come_to_its_end_holds_the_count() -> None:
    confirmed = Confirmed()
    found = passed(confirmed, *map(str, range(1000)))
    for record in reversed(found[1:]):
        confirmed.told(record, True)
    assert confirmed.count() == 0


def test_silence_passes_and_is_no_record() -> None:
    confirmed = Confirmed()
    [record] = records("a")
    assert list(confirmed.passing([None, record, None])) == [None, record, None]
    confirmed.told(record, True)
    assert confirmed.count() == 1
