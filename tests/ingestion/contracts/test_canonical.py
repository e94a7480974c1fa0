from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ingestion.contracts import canonical

plain = st.none() | st.booleans() | st.text() | st.integers() | st.floats()
edges = st.sampled_from([0.0, -0.0, 1e-4, 9.999e-5, 1e15, 1e16, 1e21, 1e22, 5e-324, -261.0, 2**53])
documents = st.dictionaries(
    st.text() | st.sampled_from(["c", "\ufb33", "\U0001f600"]),
    plain | edges | st.lists(plain) | st.dictionaries(st.text(), plain),
)


@given(documents)
def test_a_document_is_written_as_the_library_does(document: dict[str, Any]) -> None:
    try:
        expected = rfc8785.dumps(document)
    except rfc8785.CanonicalizationError:
        with pytest.raises(rfc8785.CanonicalizationError):
            canonical.dumps(document)
    else:
        assert canonical.dumps(document) == expected


@given(st.floats(min_value=1e-4, max_value=1e16))
def test_a_price_is_written_as_the_library_does(price: float) -> None:
    assert canonical.dumps({"c": price}) == rfc8785.dumps({"c": price})


def test_names_are_sorted_as_javascript_does() -> None:
    document = {"\ufb33": 1, "\U0001f600": 2}  # the other way round by character

    assert canonical.dumps(document) == '{"\U0001f600":2,"\ufb33":1}'.encode()
