"""Hostile records: what anybody with the producer's password can put into a topic.

Each must be landed byte for byte and must stop nothing. What a later stage then says of it (a
reject, a quarantine) is that stage's own rule, tested there.
"""

import gzip
import io
import json
import uuid
import zipfile
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple

import zstandard

BATCH: Final = "stock-market-batch"
QUOTES: Final = "stock-quotes"
TRADES: Final = "stock-market-realtime"
SOURCE: Final = "hostile"

MIB: Final = 2**20
# The broker's bound on a batch (1 MiB) is on what is sent: with compression a value may be larger.
LARGE_BYTES: Final = 8 * MIB
_BOMB_BYTES: Final = 64 * MIB

Header = tuple[str, bytes | None]


class Hostile(NamedTuple):
    """A Kafka record that is not to be trusted; without a timestamp it has the producer's."""

    name: str
    value: bytes | None
    topic: str = QUOTES
    key: bytes | None = b"IBM"
    headers: tuple[Header, ...] = ()
    timestamp_ms: int | None = None


def message(schema: str, data: Any, at: str, /, **changes: Any) -> bytes:  # noqa: ANN401 - JSON
    """Return a message of a source that is called hostile; ``changes`` replace whole fields.

    ``at`` is its event_time.
    """
    body: dict[str, Any] = {
        "schema": schema,
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{schema} {data} {at} {changes}")),
        "source": SOURCE,
        "simulated": True,
        "symbol": "IBM",
        "event_time": at,
        "fetched_at": "2013-03-01T21:00:01.000000Z",
        "run_id": "hostile",
        "data": data,
    }
    return json.dumps(body | changes).encode()


BAR: Final[dict[str, Any]] = {
    "interval": "1d", "start": "2013-03-01T14:30:00Z", "session_date": "2013-03-01",
    "open": "200", "high": "210", "low": "190", "close": "205", "volume": "1000",
    "adj_close": None, "currency": "USD", "adjustment": "raw", "as_of": "2013-03-01T21:15:00Z",
}  # fmt: skip
TRADE: Final[dict[str, Any]] = {
    "price": "200.01",
    "size": "5",
    "exchange": None,
    "conditions": [],
    "seq": 1,
}
QUOTE: Final[dict[str, Any]] = {
    "c": 200.5, "d": 1, "dp": 0.5, "h": 201, "l": 199, "o": 200, "pc": 199.5, "t": 1362171600,
}  # fmt: skip
OPEN: Final = "2013-03-01T14:30:00Z"
LATE: Final = "2013-03-01T21:00:00Z"


def records() -> Iterator[Hostile]:
    """Make every hostile record, each under a name of its own, in the same order each time."""
    for made in (
        _numbers, _nested, _keys_and_text, _framing, _sizes, _symbols, _injections, _rules,
        _times, _schemas, _record_parts, _headers, _same_id,
    ):  # fmt: skip
        yield from made()


def _quote(name: str, **changes: Any) -> Hostile:  # noqa: ANN401 - JSON
    return Hostile(name, message("quote.v1", QUOTE, LATE, **changes))


def _with_price(text: bytes) -> bytes:
    """Return a quote whose price is this text: json.dumps would not write it."""
    return message("quote.v1", QUOTE, LATE).replace(b'"c": 200.5', b'"c": ' + text)


def _numbers() -> Iterator[Hostile]:
    for text in (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1e-999"):
        yield Hostile(f"number {text.decode()}", _with_price(text))
    yield Hostile("number -0.0", _with_price(b"-0.0"))
    yield Hostile("number 2^63", _with_price(b"%d" % 2**63))
    yield Hostile("number 2^64", _with_price(b"%d" % 2**64))
    yield Hostile("number of 5,000 digits", _with_price(b"9" * 5_000))
    yield Hostile("number of 100,000 decimals", _with_price(b"0." + b"1" * 100_000))
    yield Hostile("number with leading zeros", _with_price(b"0200"))
    yield Hostile("number in full-width digits", _with_price('"\uff12\uff10\uff10"'.encode()))


def _nested() -> Iterator[Hostile]:
    for depth in (512, 513, 900, 100_000):
        yield Hostile(f"arrays {depth} deep", b"[" * depth + b"]" * depth)
        yield Hostile(f"objects {depth} deep", b'{"a":' * depth + b"1" + b"}" * depth)
    yield Hostile("arrays 100,000 deep and never closed", b"[" * 100_000)
    yield Hostile("arrays 100,000 deep in a field", _with_price(b"[" * 100_000 + b"]" * 100_000))
    yield Hostile("brackets in a string", b'"' + b"[{" * 50_000 + b'"')


def _keys_and_text() -> Iterator[Hostile]:
    whole = message("quote.v1", QUOTE, LATE)
    yield Hostile("duplicate key", whole[:-1] + b', "symbol": "AAPL"}')
    yield Hostile("duplicate key in data", _with_price(b'1, "c": 2'))
    yield Hostile("10,000 keys", json.dumps(dict.fromkeys(map(str, range(10_000)), 1)).encode())
    yield Hostile("empty key", b'{"":""}')
    yield Hostile("lone high surrogate", rb'{"symbol":"\ud800"}')
    yield Hostile("lone low surrogate", rb'{"symbol":"\udfff!"}')
    yield Hostile("surrogates in the wrong order", rb'{"symbol":"\udc00\ud800"}')
    yield Hostile("surrogate in UTF-8", b'{"symbol":"\xed\xa0\x80"}')
    yield Hostile("invalid UTF-8", b'{"symbol":"\xff\xfe"}')
    yield Hostile("overlong UTF-8", b'{"symbol":"\xc0\xaf"}')
    yield Hostile("truncated UTF-8", b'{"symbol":"\xe2\x82"}')
    yield Hostile("byte order mark", b"\xef\xbb\xbf" + whole)
    yield Hostile("UTF-16", whole.decode().encode("utf-16"))
    yield Hostile("escaped NUL", rb'{"symbol":"IBM\u0000"}')
    yield Hostile("raw NUL", b'{"symbol":"IBM\x00"}')
    yield Hostile("control characters", bytes(range(32)))


def _framing() -> Iterator[Hostile]:
    whole = message("quote.v1", QUOTE, LATE)
    yield Hostile("two documents", b'{"a":1}{"b":2}')
    yield Hostile("two documents on two lines", b'{"a":1}\n{"b":2}')
    yield Hostile("newline at the end", whole + b"\n")
    yield Hostile("newline between tokens", whole.replace(b", ", b",\n"))
    yield Hostile("newline in a string", b'{"symbol":"IBM\n"}')
    yield Hostile("only a newline", b"\n")
    yield Hostile("carriage return between tokens", whole.replace(b", ", b",\r"))
    yield Hostile("line separators", '{"symbol":"\u2028\u2029\u0085"}'.encode())
    yield Hostile("white space around", b" \t" + whole + b" \r ")
    yield Hostile("a bronze line", b'{"offset":1,"timestamp":1,"key":null,"headers":[],"value":1}')
    yield Hostile("the end of a bronze line", b'1}\n{"offset":0,"timestamp":0,"value":2')
    yield Hostile("truncated", whole[:-20])
    for text in (b"null", b"true", b"1", b'"text"', b"[]", b"{}", b"not json", b"'{}'"):
        yield Hostile(f"document {text.decode()}", text)


def _sizes() -> Iterator[Hostile]:
    yield Hostile("a document of 1 MiB less a little", _padded(MIB - 1_000))
    yield Hostile("a document of 1 MiB", _padded(MIB))
    yield Hostile("a document of more than 1 MiB", _padded(MIB + 1))
    yield Hostile("a document of 8 MiB", _padded(LARGE_BYTES))
    yield Hostile("spaces of 8 MiB", b" " * LARGE_BYTES)
    yield Hostile("zstd bomb", _zstd_bomb())
    yield Hostile("zstd frame that claims 100 MB", _zstd_bomb()[:64])
    yield Hostile("gzip bomb", gzip.compress(bytes(_BOMB_BYTES), mtime=0))
    yield Hostile("zip bomb", _zip_bomb())


def _padded(size: int) -> bytes:
    start, end = b'{"schema":"quote.v1","padding":"', b'"}'
    return start + b"x" * (size - len(start) - len(end)) + end


@cache
def _zstd_bomb() -> bytes:
    return zstandard.ZstdCompressor().compress(bytes(_BOMB_BYTES))


def _zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        member = zipfile.ZipInfo("../../bomb.json")
        archive.writestr(member, bytes(_BOMB_BYTES), zipfile.ZIP_DEFLATED)
    return file.getvalue()


_SYMBOLS: Final = {
    "path": "../../etc/passwd",
    "encoded path": "..%2f..%2fetc",
    "absolute path": "/etc/passwd",
    "Windows path": "..\\..\\etc",
    "URL": "s3://bronze/other",
    "partition": "IBM/session_date=2013-03-01",
    "2 kB": "A" * 2_048,
    "right-to-left override": "IBM\u202eMBI",
    "zero-width": "I\u200bBM",
    "homoglyph": "\u0406\u0412\u041c",  # Cyrillic letters that look like IBM
    "emoji": "\U0001f680\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "combining": "I\u0301" * 50,
    "full-width": "\uff29\uff22\uff2d",
    "lower case": "ibm",
    "empty": "",
    "space": " IBM ",
    "NUL": "IBM\x00.json",
}


def _symbols() -> Iterator[Hostile]:
    for name, symbol in _SYMBOLS.items():
        key = symbol.encode()
        yield _quote(f"symbol: {name}", symbol=symbol)._replace(key=key)
        bar = message("bar.v1", BAR, OPEN, symbol=symbol)
        yield Hostile(f"symbol of a bar: {name}", bar, BATCH, key)


_INJECTIONS: Final = {
    "SQL": "'; DROP TABLE x;--",
    "SQL with quotes": "\" or \"\"=\"",
    "Jinja": "{{ env_var('KAFKA_ADMIN_PASSWORD') }}",
    "Jinja block": "{% for i in range(9999999) %}{% endfor %}",
    "shell": "$(touch /tmp/hostile) `id`",
    "format": "{0.__class__} %s%n ${jndi:ldap://127.0.0.1/x}",
    "HTML": "<script>alert(1)</script>",
    "formula =": "=HYPERLINK(\"http://127.0.0.1/\",\"IBM\")",
    "formula +": "+1+1",
    "formula -": "-1+1",
    "formula @": "@SUM(A1)",
    "formula tab": "\t=1+1",
    "log line": 'IBM\n{"event":"forged","level":"info"}',
    "log colours": "\x1b[2J\x1b[31mIBM\x1b]0;title\x07",
    "carriage return": "IBM\rforged",
}  # fmt: skip


def _injections() -> Iterator[Hostile]:
    for name, text in _INJECTIONS.items():
        yield _quote(f"injection: {name}", symbol=text)
        yield _quote(f"injection in every text: {name}", source=text, run_id=text)
        headers = ("schema", text.encode()), (text, b"x")
        yield Hostile(
            f"injection in key and headers: {name}", b"{}", QUOTES, text.encode(), headers
        )


def _rules() -> Iterator[Hostile]:
    quotes: dict[str, dict[str, Any]] = {
        "price 0": {"c": 0}, "price below 0": {"c": -1}, "price 1e12": {"c": 1e12},
        "high below low": {"h": 1, "l": 2}, "price as text": {"c": "200.5"},
        "price null": {"c": None}, "price true": {"c": True}, "time in ms": {"t": 1362171600000},
        "time in ns": {"t": 1362171600000000000}, "time below 0": {"t": -1},
    }  # fmt: skip
    for name, changes in quotes.items():
        yield Hostile(f"quote: {name}", message("quote.v1", QUOTE | changes, LATE))
    trades: dict[str, dict[str, Any]] = {
        "size 0": {"size": "0"}, "size below 0": {"size": "-5"}, "price 0": {"price": "0"},
        "price 1e12": {"price": "1000000000000"}, "price with exponent": {"price": "2e2"},
        "seq below 0": {"seq": -1}, "seq 2^64": {"seq": 2**64}, "ref to itself": {"ref": "self"},
        "100,000 conditions": {"conditions": ["x"] * 100_000},
    }  # fmt: skip
    for name, changed in trades.items():
        yield Hostile(f"trade: {name}", message("trade.v1", TRADE | changed, OPEN), TRADES)
    bars: dict[str, dict[str, Any]] = {
        "low above high": {"low": "211"}, "volume below 0": {"volume": "-1"},
        "no price at all": dict.fromkeys(("open", "high", "low", "close"), None),
        "40 digits": {"close": "1" * 40}, "currency in lower case": {"currency": "usd"},
    }  # fmt: skip
    for name, values in bars.items():
        yield Hostile(f"bar: {name}", message("bar.v1", BAR | values, OPEN), BATCH)


def _times() -> Iterator[Hostile]:
    for name, time in {
        "1970": "1970-01-01T00:00:00Z", "year 9999": "9999-12-31T23:59:59.999999Z",
        "year 0": "0000-01-01T00:00:00Z", "year 10000": "10000-01-01T00:00:00Z",
        "tomorrow": "2013-03-02T21:00:00Z", "leap second": "2016-12-31T23:59:60Z",
        "no such day": "2013-02-30T21:00:00Z", "offset": "2013-03-01T21:00:00+05:30",
        "no zone": "2013-03-01T21:00:00", "nanoseconds": "2013-03-01T21:00:00.123456789Z",
        "number": "1362171600", "newline": "2013-03-01T21:00:00Z\n", "empty": "",
    }.items():  # fmt: skip
        yield _quote(f"event_time: {name}", event_time=time)
        yield _quote(f"fetched_at: {name}", fetched_at=time)
        trade = message("trade.v1", TRADE, time)
        yield Hostile(f"event_time of a trade: {name}", trade, TRADES)
    yield Hostile("Kafka timestamp of 1970", b"{}", timestamp_ms=1)


def _schemas() -> Iterator[Hostile]:
    whole = message("quote.v1", QUOTE, LATE)
    yield Hostile("schema registry's magic byte", b"\x00\x00\x00\x00\x2a" + whole)
    yield Hostile("wrong magic byte", b"\x01\xff\xff\xff\xff" + whole)
    yield Hostile("only a magic byte", b"\x00")
    schemas: dict[str, Any] = {
        "unknown": "quote.v999", "of another topic": "bar.v1", "empty": "", "null": None,
        "list": ["quote.v1"], "object": {},
    }  # fmt: skip
    for name, schema in schemas.items():
        yield _quote(f"schema: {name}", schema=schema)
    yield _quote("unknown fields", extra=1, __proto__={"x": 1}, constructor="x")
    names = ("schema", "event_id", "source", "simulated", "symbol", "event_time", "fetched_at",
             "run_id", "data")  # fmt: skip
    for name in names:
        yield _quote(f"null: {name}", **{name: None})
        without = {k: v for k, v in json.loads(whole).items() if k != name}
        yield Hostile(f"missing: {name}", json.dumps(without).encode())
    yield _quote("event_id is no UUID", event_id="' or 1=1")
    yield _quote("event_id of 100 kB", event_id="a" * 100_000)


def _record_parts() -> Iterator[Hostile]:
    yield Hostile("tombstone", None)
    yield Hostile("tombstone without a key", None, key=None)
    yield Hostile("empty value", b"")
    yield Hostile("null key", message("quote.v1", QUOTE, LATE), key=None)
    yield Hostile("empty key of the record", b"{}", key=b"")
    yield Hostile("key of 100 kB", b"{}", key=b"K" * 100_000)
    yield Hostile("key that is no UTF-8", b"{}", key=b"\xff\xfe\x00")
    yield Hostile("key with newlines and quotes", b"{}", key=b'"\n\r\x00\\')


def _headers() -> Iterator[Hostile]:
    for name, headers in {
        "10,000 of them": tuple((f"h{n}", b"x") for n in range(10_000)),
        "of 500 kB": (("h", b"x" * 500_000),),
        "name of 30 kB": (("h" * 30_000, b"x"),),
        "duplicates": (("schema", b"bar.v1"), ("schema", b"quote.v1"), ("schema", None)),
        "null value": (("schema", None),),
        "empty": (("", b""),),
        "no UTF-8": (("schema", b"\xff\xfe"),),
        "newlines": (("a\nb", b"c\r\nd"),),
        "looks like base64 of ours": (("schema", b'{"b64":"eA=="}'),),
        "zstd bomb": (("content", _zstd_bomb()),),
        "claims compression": (("content-encoding", b"zstd"), ("content-length", b"104857600")),
        "wrong schema id": (("value.schema.id", b"\x01" + bytes(16)),),
    }.items():
        yield Hostile(f"headers: {name}", b'{"schema":"quote.v1"}', headers=headers)


def _same_id() -> Iterator[Hostile]:
    one = str(uuid.uuid5(uuid.NAMESPACE_OID, "the same event"))
    yield _quote("an event_id for the first time", event_id=one)
    for name, data in {"another payload": {**QUOTE, "c": 199.9}, "the same payload": QUOTE}.items():
        yield Hostile(f"the same event_id with {name}",
                      message("quote.v1", data, LATE, event_id=one))  # fmt: skip
    yield Hostile("the same event_id in another topic",
                  message("bar.v1", BAR, OPEN, event_id=one), BATCH)  # fmt: skip
