"""Which batches of which query a stream's table has had, and what number their rows get."""

import pytest

from ingestion.errors import LakeError
from spark_jobs.epochs import Epoch


def test_the_first_query_numbers_its_rows_by_batch() -> None:
    first = Epoch.after(None, "a", 0)
    assert first is not None
    assert [first.revision, Epoch.after(first.text(), "a", 1).revision] == [0, 1]  # type: ignore[union-attr]


def test_a_batch_that_was_there_is_none_again() -> None:
    text = Epoch("a", 5, 0).text()
    assert Epoch.after(text, "a", 5) is None
    assert Epoch.after(text, "a", 4) is None


def test_batches_without_rows_leave_gaps() -> None:
    assert Epoch.after(Epoch("a", 5, 0).text(), "a", 9) == Epoch("a", 9, 0)


@pytest.mark.parametrize("batch", [0, 3])
def test_another_query_goes_on_beyond_all_that_is_there(batch: int) -> None:
    """Its checkpoint was deleted: batches begin at 0, revisions must not."""
    found = Epoch.after(Epoch("a", 41, 7).text(), "b", batch)
    assert found is not None
    assert found.revision == 49
    later = Epoch.after(found.text(), "b", batch + 1)
    assert later is not None
    assert later.revision == 50


def test_another_text_is_refused() -> None:
    with pytest.raises(LakeError, match=r"tapehouse\.stream"):
        Epoch.read("{}")
