import pytest

from ingestion.instruments import reader
from ingestion.instruments.spelling import canonical, spelled


@pytest.mark.parametrize(
    ("provider", "text"), [("yahoo", "BRK-B"), ("alphavantage", "BRK-B"), ("finnhub", "BRK.B")]
)
def test_a_share_class_is_spelled_as_the_provider_does(provider: str, text: str) -> None:
    assert spelled("BRK.B", provider) == text
    assert canonical(text, provider) == "BRK.B"


@pytest.mark.parametrize("provider", ["yahoo", "alphavantage", "finnhub"])
def test_every_symbol_comes_back(provider: str) -> None:
    for symbol in reader.selected(named="all"):
        assert canonical(spelled(symbol, provider), provider) == symbol


def test_what_is_no_share_class_stays() -> None:
    assert canonical("BTC-USD", "yahoo") == "BTC-USD"
    assert canonical("^GSPC", "yahoo") == "^GSPC"
