"""One bronze line at a time: judged by the contract's own code, its values typed exactly.

Runs in Spark's Python workers and imports no Spark. A line costs ten times here what it does in
``shapes``, which leaves to this module what is not exactly as our own producers write it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Annotated, Any, Final, NamedTuple, Union

import msgspec
import pyarrow as pa
from msgspec import UNSET, UnsetType

from ingestion.contracts import envelope
from ingestion.contracts.records import Envelope
from ingestion.errors import ContractError
from spark_jobs.model import Field, Model, schema
from spark_jobs.transforms import layout

# What bronze takes for a document: on one line, of at most 1 MiB.
_MAX_BYTES: Final = 2**20
_DETAIL_LENGTH: Final = 500
_ID_LENGTH: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# Kafka takes any 64-bit number for a time; what no calendar has (year 1 to 9999) is none.
_EARLIEST_MS: Final = -62_135_596_800_000
_LATEST_MS: Final = 253_402_300_799_999
_BIGINT_LIMIT: Final = 2**63
# The contract allows 28 digits before the point and 18 after it.
_DIGITS: Final = Context(prec=60)


class Line(msgspec.Struct):
    """A bronze line with its value as it lies there."""

    offset: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    timestamp: int
    headers: msgspec.Raw
    key: str | None = None
    key_b64: str | None = None
    value: msgspec.Raw | UnsetType = UNSET
    value_b64: str | UnsetType = UNSET

    def shown_key(self) -> str | None:
        """Return the key as text, however it lies there."""
        return f"base64:{self.key_b64}" if self.key_b64 is not None else self.key


class Verdict(NamedTuple):
    """What is known of one value: a message, or why it is none."""

    message: Any = None
    reason: str | None = None
    detail: str | None = None
    schema: str | None = None
    event_id: str | None = None


lines: Final = msgspec.json.Decoder(Line)
_NO_LINE: Final = (UnicodeDecodeError, msgspec.MsgspecError, RecursionError)


class Judge:
    """Reads lines by the records of a model."""

    def __init__(self, model: Model) -> None:
        self._topics = model.topics
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Union[model.records])  # noqa: UP007 - a tuple of any length
        self._envelopes = {record: model.envelope(record) for record, _ in model.stored()}
        self._data = {record: model.data(record) for record, _ in model.stored()}
        self._kinds = {record: table.name for record, table in model.stored()}
        self._types = {field.name: field.type for field in layout.schema(model)}

    def columns(self, lines: layout.Array, topic: str) -> dict[str, layout.Array]:
        """Return what lines hold, each with its newline or without: columns of ``layout``."""
        return self.arrays(
            [self.row(line.removesuffix(b"\n"), topic) for line in lines.to_pylist()]
        )

    def arrays(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, layout.Array]:
        """Return rows of columns as columns; ``offset`` is always there."""
        names = {"offset", *(name for row in rows for name in row)}
        return {
            name: pa.array([row.get(name) for row in rows], self._types[name]) for name in names
        }

    def row(self, line: bytes, topic: str) -> dict[str, Any]:
        """Return what a line holds: columns of ``layout`` that are not NULL."""
        try:
            record = lines.decode(line.decode())
        except _NO_LINE as error:
            why = f"not a bronze line: {error}"[:_DETAIL_LENGTH]
            return {"raw": text(line), "reason": "invalid_json", "detail": why}
        place = {"offset": record.offset, "kafka_timestamp": kafka_time(record.timestamp)}
        verdict = self.judge(record, topic)
        found = self.fields(verdict)
        if "reason" not in found:
            return place | found
        return place | _shown(record, line) | found

    def judge(self, record: Line, topic: str) -> Verdict:
        """Return the message in a line, or the reason why it is none."""
        if record.value_b64 is not UNSET:
            return Verdict(None, "invalid_json", "the value is not one valid JSON document")
        if record.value is UNSET:
            return Verdict(None, "not_an_object", "a tombstone: the record has no value")
        return self.value(bytes(record.value), topic)

    def record(self, value: bytes | None, topic: str) -> Verdict:
        """Return the message in a Kafka record, judged as its bronze line would be."""
        if value is None:
            return Verdict(None, "not_an_object", "a tombstone: the record has no value")
        if b"\n" in value or len(value) > _MAX_BYTES:
            return Verdict(None, "invalid_json", "the value is not one valid JSON document")
        return self.value(value, topic)

    def value(self, body: bytes, topic: str) -> Verdict:
        """Return the message that a value is, judged as ``envelope.decode`` judges it."""
        try:
            message = self._decoder.decode(body)
            # What encodes to the same bytes has no repeated key, nor anything else to look for.
            if envelope.encode(message) != body:
                message = envelope.decode(body, self._decoder)
        except (msgspec.MsgspecError, ContractError, RecursionError) as error:
            return self._no_message(body, topic, error)
        name = schema(type(message))
        if self._topics[name] != topic:
            return Verdict(None, "wrong_topic", self._expected_topic(name), name, message.event_id)
        return Verdict(message, schema=name, event_id=message.event_id)

    def _no_message(self, body: bytes, topic: str, error: Exception) -> Verdict:
        try:
            document = msgspec.json.decode(body)
        except (msgspec.MsgspecError, RecursionError) as fault:
            return Verdict(None, "invalid_json", str(fault)[:_DETAIL_LENGTH])
        if not isinstance(document, dict):
            return Verdict(None, "not_an_object", f"expected an object, found {_kind(document)}")
        event_id = document.get("event_id")
        known = event_id[:_ID_LENGTH] if isinstance(event_id, str) else None
        name = document.get("schema")
        if not isinstance(name, str) or name not in self._topics:
            short = name[:_ID_LENGTH] if isinstance(name, str) else None
            found = repr(short) if short is not None else "none"
            return Verdict(None, "unknown_schema", f"found schema {found}", short, known)
        if self._topics[name] != topic:
            return Verdict(None, "wrong_topic", self._expected_topic(name), name, known)
        return Verdict(None, "contract", str(error)[:_DETAIL_LENGTH], name, known)

    def fields(self, verdict: Verdict) -> dict[str, Any]:
        """Return the columns of a message, typed, or the reason why there is none."""
        return _refused(verdict) if verdict.message is None else self._typed(verdict)

    def _typed(self, verdict: Verdict) -> dict[str, Any]:
        """Return a message's columns, with a reason where a value is none of its column's type."""
        message = verdict.message
        record: type[Envelope] = type(message)
        found = {"schema": verdict.schema, "kind": self._kinds[record]}
        no_time: list[Field] = []
        inexact: list[Field] = []
        for fields, owner in (
            (self._envelopes[record], message),
            (self._data[record], message.data),
        ):
            for field in fields:
                given = getattr(owner, field.attribute)
                value = None if given is None else _converter(field)(given)
                found[field.column] = value
                if value is None and given is not None:
                    (no_time if field.kind in ("timestamp", "date") else inexact).append(field)
        return found | _fault(no_time, inexact)

    def _expected_topic(self, name: str) -> str:
        return f"{name} belongs to topic {self._topics[name]}"


def kafka_time(milliseconds: int) -> int | None:
    """Return Kafka's timestamp in microseconds; None for one that no calendar has."""
    is_one = _EARLIEST_MS <= milliseconds <= _LATEST_MS
    return milliseconds * 1000 if is_one else None


def text(line: bytes) -> str:
    """Return a line as text, whatever its bytes."""
    return line.decode(errors="replace")


def evidence(line: bytes) -> dict[str, str | None]:
    """Return key, headers and text of a line; only the text of one that is no bronze line."""
    try:
        return _shown(lines.decode(line.decode()), line)
    except _NO_LINE:
        return {"key": None, "headers": None, "raw": text(line)}


def _shown(record: Line, line: bytes) -> dict[str, str | None]:
    headers = bytes(record.headers).decode()
    return {"key": record.shown_key(), "headers": headers, "raw": text(line)}


def _refused(verdict: Verdict) -> dict[str, Any]:
    found = {
        "reason": verdict.reason,
        "detail": verdict.detail,
        "schema": verdict.schema,
        "event_id": verdict.event_id,
    }
    return {name: value for name, value in found.items() if value is not None}


def _fault(no_time: list[Field], inexact: list[Field]) -> dict[str, Any]:
    if no_time:
        names = ", ".join(field.wire for field in no_time)
        return {"reason": "contract", "detail": f"no such time or date: {names}", "kind": None}
    if inexact:
        names = ", ".join(field.wire for field in inexact)
        return {"reason": "number_range", "detail": f"does not fit exactly: {names}", "kind": None}
    return {}


def _converter(field: Field) -> Callable[[Any], Any]:
    if field.kind.startswith("decimal"):
        return lambda given: _decimal(given, *layout.digits(field.kind))
    return _CONVERTERS.get(field.kind, _same)


def _same(given: Any) -> Any:  # noqa: ANN401 - a value of any type
    return given


def _decimal(given: str, precision: int, scale: int) -> Decimal | None:
    """Return the number, None where it does not fit exactly."""
    number = Decimal(given)
    exact = number.quantize(Decimal(1).scaleb(-scale), context=_DIGITS)
    return exact if exact == number and abs(number) < 10 ** (precision - scale) else None


def _bigint(given: str | int) -> int | None:
    number = Decimal(given)
    whole = int(number)
    return whole if whole == number and -_BIGINT_LIMIT <= whole < _BIGINT_LIMIT else None


def _instant(given: str) -> int | None:
    try:
        return (datetime.fromisoformat(given) - _EPOCH) // _MICROSECOND
    except ValueError:
        return None


def _date(given: str) -> date | None:
    try:
        return date.fromisoformat(given)
    except ValueError:
        return None


_CONVERTERS: Final[dict[str, Callable[[Any], Any]]] = {
    "bigint": _bigint,
    "timestamp": _instant,
    "date": _date,
}


def _kind(document: object) -> str:
    return "null" if document is None else type(document).__name__
