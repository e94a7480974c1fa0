"""What an answer with status 200 means."""

import json

import pytest

from ingestion.sources.alphavantage.answers import document
from ingestion.sources.provider import (
    DeniedError,
    MalformedError,
    NoDataError,
    ProviderError,
    RateLimitedError,
    Scope,
)
from tests.ingestion.sources.providers import sample

THANKS = "Thank you for using Alpha Vantage! "
PLANS = (
    "You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to "
    "lift the free key rate limit (25 requests per day) and instantly unlock all premium endpoints"
)


def refusal(body: bytes) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        document(body, "Time Series (Daily)")
    assert caught.value.body == body
    return caught.value


@pytest.mark.parametrize(
    ("name", "error", "scope"),
    [
        ("information-day", RateLimitedError, "day"),
        ("information-day-with-key", RateLimitedError, "day"),
        ("information-burst", RateLimitedError, "second"),
        ("note", RateLimitedError, "minute"),
        ("information-premium", DeniedError, None),
        ("error-key", DeniedError, None),
        ("error-message", NoDataError, None),
    ],
)
def test_a_published_refusal_has_its_meaning(
    name: str, error: type[ProviderError], scope: Scope | None
) -> None:
    found = refusal(sample(f"alphavantage/{name}.json"))

    assert type(found) is error
    assert getattr(found, "scope", None) == scope


# Quoted alike in public reports, issues and tests of other programs; 2018 to 2026.
@pytest.mark.parametrize(
    ("key", "text", "error", "scope"),
    [
        ("Information", THANKS + "Please consider spreading out your free API requests more "
         "sparingly. " + PLANS, RateLimitedError, "second"),
        ("Information", THANKS + "The outputsize=full parameter value is a premium feature for "
         "the TIME_SERIES_DAILY endpoint. " + PLANS, DeniedError, None),
        ("Information", THANKS + "Please visit https://www.alphavantage.co/premium/ if you would "
         "like to have a higher API call volume.", RateLimitedError, "minute"),
        ("Information", THANKS + "You have reached the 100 requests/day limit for your free API "
         "key. Please subscribe to any of the premium plans at "
         "https://www.alphavantage.co/premium/ to instantly remove all daily rate limits.",
         RateLimitedError, "day"),
        ("Information", "Burst pattern detected. Please consider spreading out your API requests "
         "more evenly across a 1-minute window.", RateLimitedError, "second"),
        ("Information", "the parameter apikey is invalid or missing. Please claim your free API "
         "key on (https://www.alphavantage.co/support/#api-key).", DeniedError, None),
        ("Information", "The **demo** API key is for demo purposes only. Please claim your free "
         "API key", DeniedError, None),
        ("Error Message", "No data found for symbol XYZ.", NoDataError, None),
        ("Error Message", "This API function (TIME_SERIES) does not exist.", MalformedError, None),
        ("Information", "Something that nobody has seen before", MalformedError, None),
        ("Note", "", MalformedError, None),
    ],
)  # fmt: skip
def test_the_words_decide_not_the_key(
    key: str, text: str, error: type[ProviderError], scope: Scope | None
) -> None:
    found = refusal(json.dumps({key: text}).encode())

    assert type(found) is error
    assert getattr(found, "scope", None) == scope


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", b"null", b"{}", b'{"Information":null}', b'{"Information":["x"]}',
        b'{"Weekly Time Series":{}}', b'{"detail":"x"}', b'{"Note":"x","Note":"y"}', b"\xff",
        b"timestamp,open,high,low,close,volume\r\n",
    ],
)  # fmt: skip
def test_what_is_neither_data_nor_a_known_refusal_is_malformed(body: bytes) -> None:
    assert type(refusal(body)) is MalformedError


def test_a_refusal_beside_data_is_a_refusal() -> None:
    body = json.dumps({"Time Series (Daily)": {}, "Note": "5 calls per minute"}).encode()
    assert isinstance(refusal(body), RateLimitedError)


def test_words_without_end_are_cut() -> None:
    found = refusal(json.dumps({"Note": "per day " + "x" * 1_000_000}).encode())
    assert len(str(found)) < 300
