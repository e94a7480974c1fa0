import gc

from ingestion import collector


def test_the_collector_is_calm_for_a_while() -> None:
    before = gc.get_threshold()

    with collector.calm():
        assert gc.get_threshold()[0] > 100 * before[0]
        assert gc.get_freeze_count()

    assert gc.get_threshold() == before
    assert not gc.get_freeze_count()
