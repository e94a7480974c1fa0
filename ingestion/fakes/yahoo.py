"""Yahoo over HTTP as its public clients use it: cookie, crumb, chart, and what else they ask."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.requests import Request

from ingestion.calendar import Session
from ingestion.fakes.answer import TEXT, Answer, json_answer
from ingestion.fakes.desk import House
from ingestion.fakes.market import Minutes, View, intraday
from ingestion.fakes.record import Asking, Observation, Value
from ingestion.fakes.script import Asked, Provider
from ingestion.fakes.universe import canonical
from ingestion.fakes.yahoo_meta import describe
from ingestion.fakes.yahoo_rows import QUOTED, Rows, daily_rows, minute_rows

CRUMB: Final = "local.crumb1"
COOKIE: Final = "A3=d=local; Path=/; Max-Age=31557600; HttpOnly"
INTERVALS: Final = {"1m": 1, "2m": 2, "5m": 5, "15m": 15, "30m": 30, "60m": 60, "90m": 90, "1h": 60}
EVENTS: Final = {"div": "dividends", "split": "splits", "splits": "splits"}
_CHART: Final = "/v8/finance/chart/"
# Days that one request for one-minute bars may span, and how far back each interval reaches.
_MINUTE_SPAN = timedelta(days=8)
_DEPTH: Final = {"1m": 30, "60m": 730, "1h": 730}
_OTHER_DEPTH: Final = 60
RANGES: Final = {
    "1d": 1, "5d": 5, "1mo": 22, "3mo": 64, "6mo": 127, "1y": 252, "2y": 504, "5y": 1260,
    "10y": 2520,
}  # fmt: skip


class ChartError(Exception):
    """The chart API refuses: a status, a code and a description."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(description)
        self.answer = json_answer(
            {"chart": {"result": None, "error": {"code": code, "description": description}}}, status
        )


class Yahoo:
    """Yahoo over HTTP. It has no key, and publishes no limit."""

    provider: Final[Provider] = "yahoo"

    def __init__(self, house: House) -> None:
        self._house = house

    def key(self, request: Request) -> str:
        return ""

    def asked(self, request: Request) -> Asked:
        return "chart" if request.url.path.startswith(_CHART) else "session"

    def refuse_key(self) -> Answer:
        return self.too_many()

    def refuse_limit(self, asking: Asking) -> Answer:
        return self.too_many()

    def too_many(self) -> Answer:
        """Return the plain text that stands for every limit."""
        return Answer(429, b"Too Many Requests\r\n", TEXT)

    def answer(self, request: Request, asking: Asking) -> Answer:
        path = request.url.path
        if path.startswith(_CHART):
            return self._chart_or_error(request, path.removeprefix(_CHART))
        if path == "/v1/test/getcrumb":
            return Answer(200, CRUMB.encode(), TEXT)
        if path == "/":
            return Answer(404, b"", TEXT, {"set-cookie": COOKIE})
        return _elsewhere(path)

    def _chart_or_error(self, request: Request, spelling: str) -> Answer:
        try:
            return self._chart(request.query_params, spelling)
        except ChartError as error:
            return error.answer

    def _chart(self, query: Mapping[str, str], spelling: str) -> Answer:
        symbol = canonical(spelling)
        if symbol not in self._house.market:
            raise ChartError(404, "Not Found", "No data found, symbol may be delisted")
        interval = query.get("interval", "1d")
        if interval != "1d" and interval not in INTERVALS:
            valid = ", ".join([*INTERVALS, "1d"])
            description = f"Invalid input - interval={interval} is not supported. Valid: [{valid}]"
            raise ChartError(422, "Unprocessable Entity", description)
        view = self._house.market.view(symbol, provider=self.provider)
        if not len(view.bars):
            raise ChartError(404, "Not Found", "No data found, symbol may be delisted")
        start, end = _bounds(query, view, self._house.market.clock.now())
        if interval == "1d":
            rows = daily_rows(view).chosen(start, end)
        else:
            self._check_depth(interval, start, end)
            rows = self._intraday_rows(view, interval, start, end)
        return _answer(self._house, view, spelling, interval, query, rows)

    def _check_depth(self, interval: str, start: int, end: int) -> None:
        refused = f"{interval} data not available for startTime={start} and endTime={end}. "
        if interval == "1m" and end - start > _MINUTE_SPAN.total_seconds():
            reason = (
                "Only 8 days worth of 1m granularity data are allowed to be fetched per request."
            )
            raise ChartError(422, "Unprocessable Entity", refused + reason)
        days = _DEPTH.get(interval, _OTHER_DEPTH)
        oldest = self._house.market.clock.now() - timedelta(days=days)
        if start < oldest.timestamp():
            reason = f"The requested range must be within the last {days} days."
            raise ChartError(422, "Unprocessable Entity", refused + reason)

    def _intraday_rows(self, view: View, interval: str, start: int, end: int) -> Rows:
        now = self._house.market.clock.now()
        made: list[tuple[Minutes, float]] = []
        factors = view.bars.split_factor()
        for position, session in enumerate(view.bars.sessions):
            if session.close_at.timestamp() <= start or session.open_at.timestamp() >= end:
                continue
            tape = view.forming.tape if view.forming and position == view.complete else None
            tape = tape or self._house.market.tape(view.bars.bar(position))
            bars = intraday(tape, INTERVALS[interval], now) if tape else iter(())
            made += [(bar, factors[position]) for bar in bars if start <= bar.start < end]
        return minute_rows(made)


def _bounds(query: Mapping[str, str], view: View, now: datetime) -> tuple[int, int]:
    """Return the epoch seconds that a request asks for: from, inclusive, and until, exclusive."""
    end = int(now.timestamp()) + 1
    try:
        if "period1" in query or "period2" in query:
            return int(query.get("period1", 0)), int(query.get("period2", end))
    except ValueError as error:
        raise ChartError(400, "Bad Request", "Invalid input - period1, period2") from error
    wanted = query.get("range", "1d")
    return _range_start(wanted, view.bars.sessions, now), end


def _range_start(wanted: str, sessions: list[Session], now: datetime) -> int:
    if wanted == "max" or not sessions:
        return 0
    if wanted == "ytd":
        return int(datetime(now.year, 1, 1, tzinfo=now.tzinfo).timestamp())
    if wanted not in RANGES:
        valid = ", ".join([*RANGES, "ytd", "max"])
        raise ChartError(422, "Unprocessable Entity", f"Invalid range: {wanted}. Valid: [{valid}]")
    first = sessions[-min(RANGES[wanted], len(sessions))]
    return int(first.open_at.timestamp())


def _answer(
    house: House, view: View, spelling: str, interval: str, query: Mapping[str, str], rows: Rows
) -> Answer:
    result: dict[str, Any] = {"meta": describe(house, view, spelling, interval, query, rows.at)}
    events = _events(view, interval, query, rows)
    if rows.at:
        result["timestamp"] = rows.at
    if events:
        result["events"] = events
    result["indicators"] = {"quote": [dict(rows.columns) if rows.at else {}]}
    if rows.adjusted is not None:
        result["indicators"]["adjclose"] = [{"adjclose": rows.adjusted} if rows.at else {}]
    given = [*_bars(canonical(spelling), interval, rows), *_given(canonical(spelling), events)]
    return json_answer({"chart": {"result": [result], "error": None}}, given=given)


def _events(
    view: View, interval: str, query: Mapping[str, str], rows: Rows
) -> dict[str, dict[str, dict[str, Any]]]:
    wanted = {EVENTS.get(name) for name in query.get("events", "").replace("|", ",").split(",")}
    if interval != "1d" or not rows.at:
        return {}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, at, event in _actions(view):
        if kind in wanted and rows.at[0] <= at <= rows.at[-1]:
            found.setdefault(kind, {})[str(at)] = event
    return found


def _actions(view: View) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Return the splits, and the dividends per share of today's."""
    factor = view.bars.split_factor()
    for position, amount in view.bars.dividends():
        at = int(view.bars.sessions[position].open_at.timestamp())
        paid = round(float(amount) / float(factor[position]), 6)
        yield "dividends", at, {"amount": paid, "date": at}
    for position, ratio in view.bars.splits():
        at = int(view.bars.sessions[position].open_at.timestamp())
        new, old = ratio.as_integer_ratio()
        split = {"date": at, "numerator": float(new), "denominator": float(old)}
        yield "splits", at, split | {"splitRatio": f"{new}:{old}"}


def _bars(symbol: str, interval: str, rows: Rows) -> Iterator[Observation]:
    names = (*QUOTED, "volume")
    for number_, at in enumerate(rows.at):
        values: tuple[Value, ...] = tuple(rows.columns[name][number_] for name in names)
        if rows.adjusted is not None:
            values = (*values, rows.adjusted[number_])
        yield Observation(f"bar.{interval}", symbol, str(at), values)


def _given(symbol: str, events: dict[str, dict[str, dict[str, Any]]]) -> Iterator[Observation]:
    for event in events.get("dividends", {}).values():
        yield Observation("dividend", symbol, str(event["date"]), (event["amount"],))
    for event in events.get("splits", {}).values():
        values = event["numerator"], event["denominator"]
        yield Observation("split", symbol, str(event["date"]), values)


def _elsewhere(path: str) -> Answer:
    """Answer what a client asks besides: JSON everywhere, or it would fail while it parses."""
    symbol = path.rsplit("/", 1)[-1]
    if path.startswith("/v10/finance/quoteSummary"):
        description = f"Quote not found for symbol: {symbol}"
        error = {"code": "Not Found", "description": description}
        return json_answer({"quoteSummary": {"result": None, "error": error}}, 404)
    if path.startswith("/v7/finance/quote"):
        return json_answer({"quoteResponse": {"result": [], "error": None}})
    if path.startswith("/ws/fundamentals-timeseries"):
        return json_answer({"timeseries": {"result": [], "error": None}})
    error = {"code": "Not Found", "description": f"No such path: {path}"}
    return json_answer({"finance": {"result": None, "error": error}}, 404)
