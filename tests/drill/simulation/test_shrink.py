import pytest

from drill.simulation.shrink import needed


@pytest.mark.parametrize("guilty", [set(), {0}, {19}, {3, 11}, {0, 9, 10, 19}])
def test_what_is_left_is_what_it_takes(guilty: set[int]) -> None:
    assert set(needed(20, lambda dropped: not guilty & dropped)) == guilty


def test_one_of_two_alternatives_is_kept() -> None:
    assert len(needed(8, lambda dropped: not {2, 5} <= dropped)) == 1
