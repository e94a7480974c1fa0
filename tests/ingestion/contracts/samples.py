"""One valid message of each schema, and strategies for many."""

from typing import Any

from hypothesis import strategies as st

from ingestion.contracts.records import (
    BarData,
    BarMessage,
    CorporateActionData,
    CorporateActionMessage,
    Message,
    QuoteMessage,
    TradeData,
    TradeMessage,
)

ENVELOPE: dict[str, Any] = {
    "event_id": "c78ab5ab-215d-5ce0-a5df-68a59d47f625",
    "source": "recorded",
    "simulated": False,
    "symbol": "BRK.B",
    "event_time": "2013-03-01T14:30:00.000000Z",
    "fetched_at": "2013-03-01T21:15:00Z",
    "run_id": "run-1",
}
DATA: dict[str, dict[str, Any]] = {
    "quote.v1": {"c": 261.74, "d": None, "dp": 0.13, "h": 263, "l": 260, "o": 261, "pc": 0, "t": 1},
    "bar.v1": {
        "interval": "1d", "start": "2013-03-01T14:30:00Z", "session_date": "2013-03-01",
        "open": "27.72", "high": "27.98", "low": None, "close": "27.95", "volume": "34849700",
        "adj_close": None, "currency": "USD", "adjustment": "raw",
        "as_of": "2013-03-01T21:15:00Z",
    },
    "corporate_action.v1": {
        "type": "split", "ex_date": "2003-02-18", "ratio": "2", "amount": None, "currency": "USD",
        "as_of": "2003-02-18T21:15:00Z",
    },
    "trade.v1": {
        "price": "27.95", "size": "100", "exchange": None, "conditions": ["odd_lot"], "seq": 1,
        "action": "correct", "ref": "c78ab5ab-215d-5ce0-a5df-68a59d47f625",
    },
}  # fmt: skip


def sample(schema: str) -> dict[str, Any]:
    """Return a valid message of a schema as plain data."""
    return {"schema": schema, **ENVELOPE, "data": dict(DATA[schema])}


decimals = st.from_regex(r"\A-?(0|[1-9][0-9]{0,27})(\.[0-9]{1,18})?\Z")
maybe_decimals = st.none() | decimals
timestamps = st.datetimes().map(
    lambda d: d.strftime("%Y").zfill(4) + d.strftime("-%m-%dT%H:%M:%S.%fZ")
)
dates = st.dates().map(lambda d: d.isoformat())
currencies = st.from_regex(r"\A[A-Z]{3}\Z")
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
envelopes = st.fixed_dictionaries(
    {
        "event_id": st.uuids().map(str),
        "source": st.from_regex(r"\A[a-z0-9][a-z0-9_\-]{0,63}\Z"),
        "simulated": st.booleans(),
        "symbol": st.from_regex(r"\A[A-Z0-9^][A-Z0-9.\-=^]{0,19}\Z"),
        "event_time": timestamps,
        "fetched_at": timestamps,
        "run_id": st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=64),
    }
)
bars = st.builds(
    BarData,
    interval=st.sampled_from(["1d", "5m", "1h", "1mo"]), start=timestamps, session_date=dates,
    open=maybe_decimals, high=maybe_decimals, low=maybe_decimals, close=maybe_decimals,
    volume=maybe_decimals, adj_close=maybe_decimals, currency=currencies,
    adjustment=st.sampled_from(["raw", "split", "all"]), as_of=timestamps,
)  # fmt: skip
actions = st.builds(
    CorporateActionData,
    type=st.sampled_from(["split", "dividend"]), ex_date=dates, ratio=maybe_decimals,
    amount=maybe_decimals, currency=currencies, as_of=timestamps,
)  # fmt: skip
trades = st.builds(
    TradeData,
    price=decimals, size=decimals, exchange=st.none() | texts, conditions=st.lists(texts),
    seq=st.integers(-(2**63), 2**63 - 1), action=st.sampled_from(["new", "correct", "cancel"]),
    ref=st.none() | st.uuids().map(str),
)  # fmt: skip
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(lambda e, d: QuoteMessage(**e, data=d), envelopes,
              st.dictionaries(texts, anything, max_size=5)),
    st.builds(lambda e, d: BarMessage(**e, data=d), envelopes, bars),
    st.builds(lambda e, d: CorporateActionMessage(**e, data=d), envelopes, actions),
    st.builds(lambda e, d: TradeMessage(**e, data=d), envelopes, trades),
)  # fmt: skip
