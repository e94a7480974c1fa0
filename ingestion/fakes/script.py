"""The declared script of faults: what goes wrong, at which request or second, for how long."""

from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from ingestion.contracts.records import Decimal, Symbol
from ingestion.errors import SettingsError

Provider = Literal["yahoo", "finnhub", "alphavantage"]
PROVIDERS: Final[tuple[Provider, ...]] = ("yahoo", "finnhub", "alphavantage")
# What is asked of a provider: `stream` is its WebSocket.
Asked = Literal["any", "session", "chart", "quote", "candle", "daily", "intraday", "stream"]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]


class Limit(Struct, frozen=True, forbid_unknown_fields=True):
    """At most so many requests within any so many seconds, per key."""

    requests: Count
    seconds: Positive


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fault"):
    """When something goes wrong: from a request or a second on, for so many or so long.

    Requests are counted per provider among those of the ``kind``, from 1; seconds are real ones
    since the start or the last reset. Without an end it lasts.
    """

    provider: Provider
    kind: Asked = "any"
    at_request: Count | None = None
    requests: Count | None = None
    at_s: Annotated[float, Meta(ge=0)] | None = None
    for_s: Positive | None = None

    def covers(self, number: int, elapsed_s: float) -> bool:
        """Tell whether it acts on the ``number``-th request, ``elapsed_s`` after the start."""
        return self.by_request(number) and self.by_time(elapsed_s)

    def by_request(self, number: int) -> bool:
        """Tell whether the count of requests is within its bounds."""
        first = self.at_request or 1
        return number >= first and (self.requests is None or number < first + self.requests)

    def by_time(self, elapsed_s: float) -> bool:
        """Tell whether the time is within its bounds."""
        first = self.at_s or 0.0
        return elapsed_s >= first and (self.for_s is None or elapsed_s < first + self.for_s)


class Status(Fault, frozen=True, kw_only=True, tag="status"):
    """An HTTP status instead of the answer (429, 500, 503, 401)."""

    status: Annotated[int, Meta(ge=400, le=599)]
    retry_after_s: int | None = None
    body: str | None = None


class Refusal(Fault, frozen=True, kw_only=True, tag="refusal"):
    """One of Alpha Vantage's errors that come with status 200."""

    text: Literal["day", "burst", "premium", "note", "error", "empty"]


class Timeout(Fault, frozen=True, kw_only=True, tag="timeout"):
    """No answer: the request is held, then its connection is closed."""

    hold_s: Positive = 60.0


class Drop(Fault, frozen=True, kw_only=True, tag="drop"):
    """The connection is closed without an answer; a stream's without a close frame."""


class Truncate(Fault, frozen=True, kw_only=True, tag="truncate"):
    """The body's first ``share``, then the connection is closed."""

    share: Annotated[float, Meta(ge=0, lt=1)] = 0.5


class Replace(Fault, frozen=True, kw_only=True, tag="replace"):
    """The answer with each match of a regular expression replaced: NaN for a price, say."""

    find: str
    text: str


class Payload(Fault, frozen=True, kw_only=True, tag="payload"):
    """Bodies or frames from a file, one a request, in turn: JSON lines of ``name``, ``body_b64``.

    A relative path is looked for beside the script.
    """

    file: str
    status: Annotated[int, Meta(ge=200, le=599)] = 200


class Mute(Fault, frozen=True, kw_only=True, tag="mute"):
    """The stream's connection stays open and gives nothing, or only pings."""

    pings: bool = False


class ErrorFrame(Fault, frozen=True, kw_only=True, tag="error_frame"):
    """An error frame on the stream, once a connection."""

    text: str


class Dead(Fault, frozen=True, kw_only=True, tag="dead"):
    """The provider's port is closed; only by time."""


class StaleQuote(Fault, frozen=True, kw_only=True, tag="stale_quote"):
    """Quotes of the session before, with status 200."""


class _OfBar(Fault, frozen=True, kw_only=True):
    """A fault in the data. A session is a date as served, or counted back from the latest (-1)."""

    symbol: Symbol
    session: date | Annotated[int, Meta(le=-1)] = -1


class Restate(_OfBar, frozen=True, kw_only=True, tag="restate"):
    """A bar with other values."""

    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    close: Decimal | None = None
    volume: Decimal | None = None


class Split(_OfBar, frozen=True, kw_only=True, tag="split"):
    """A split that appears with that session as its ex-date: the whole history is re-based."""

    ratio: Count


class NullRow(_OfBar, frozen=True, kw_only=True, tag="null_row"):
    """A bar whose prices are null (with its volume, or null too); with an end it is backfilled."""

    keep_volume: bool = True


OfAnswer = Status | Refusal | Timeout | Drop | Truncate | Replace | Payload
OfStream = Mute | ErrorFrame | Drop | Payload
OfData = Restate | Split | NullRow
AnyFault = OfAnswer | Mute | ErrorFrame | Dead | StaleQuote | OfData

DEFAULT_LIMITS: Final[dict[Provider, tuple[Limit, ...]]] = {
    "yahoo": (),  # it publishes none
    "finnhub": (Limit(60, 60.0), Limit(30, 1.0)),
    "alphavantage": (Limit(25, 86_400.0), Limit(1, 1.0)),
}


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the servers do beside serving; without a script they keep the free plans' limits.

    ``keys`` are those that a provider knows: without, any but the empty one. ``slack_s`` is taken
    off each limit's window, because a request arrives later than it was sent, and not always
    equally late.
    """

    limits: dict[Provider, tuple[Limit, ...]] = {}
    plans: dict[Provider, Literal["free", "premium"]] = {}
    keys: dict[Provider, tuple[str, ...]] = {}
    slack_s: Annotated[float, Meta(ge=0)] = 0.05
    max_symbols: Count = 50
    ping_s: Positive = 30.0
    frame_s: Positive = 0.25
    max_trades: Count = 100
    faults: tuple[AnyFault, ...] = ()
    folder: str = "."

    def limits_of(self, provider: Provider) -> tuple[Limit, ...]:
        """Return the limits of a provider, the free plan's where none are given."""
        return self.limits.get(provider, DEFAULT_LIMITS[provider])

    def is_free(self, provider: Provider) -> bool:
        """Tell whether the key's plan is the free one."""
        return self.plans.get(provider, "free") == "free"

    def knows(self, provider: Provider, key: str) -> bool:
        """Tell whether a provider accepts a key."""
        keys = self.keys.get(provider)
        return key in keys if keys is not None else bool(key)


def load(path: Path) -> Script:
    """Read a script (YAML, of which JSON is a part).

    Raises:
        SettingsError: it cannot be read, or a field is missing, unknown or malformed.
    """
    try:
        script = msgspec.yaml.decode(path.read_bytes(), type=Script)
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(f"{path}: {error}") from error
    return msgspec.structs.replace(script, folder=str(path.parent))


def fault(document: object) -> AnyFault:
    """Read one fault from a JSON document.

    Raises:
        SettingsError: a field is missing, unknown or malformed.
    """
    try:
        found: AnyFault = msgspec.convert(document, AnyFault)
    except msgspec.ValidationError as error:
        raise SettingsError(f"fault: {error}") from error
    return found
