"""The commands of the providers, against the local ones and the mock broker."""

import json
import os
import signal
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from drill import hostile
from ingestion.contracts import envelope
from ingestion.contracts.records import (
    BarMessage,
    CorporateActionMessage,
    Message,
    QuoteMessage,
    TradeMessage,
)
from ingestion.fakes.running import Running
from ingestion.fakes.script import (
    Limit,
    Mute,
    NullRow,
    Payload,
    Refusal,
    Replace,
    Restate,
    StaleQuote,
    Status,
)
from ingestion.instruments.reader import selected
from tests.ingestion.fakes.conftest import MORNING, Serve, control, serve
from tests.ingestion.produce.conftest import Command, Ended, MockKafka

__all__ = ["serve"]  # a fixture

NOW: dict[str, Any] = {"served_at": None}
NO_LIMITS: dict[str, Any] = {"limits": {"alphavantage": (), "finnhub": ()}}
PREMIUM: dict[str, Any] = {"plans": {"alphavantage": "premium"}}
KEYS = {"FINNHUB_API_KEY": "finnhub-key", "ALPHAVANTAGE_API_KEY": "alphavantage-key"}
PREMIUM_KEY = {"ALPHAVANTAGE_PREMIUM": "true"}
FAST = {f"LIMITS_{name}": "1000/second" for name in ("YAHOO", "FINNHUB", "ALPHAVANTAGE")}
# The first command of a test run imports pandas, which takes a busy machine half a minute.
DONE_WITHIN_S = 120.0


class Producer:
    """Runs the commands against a set of local providers, with a state folder of its own."""

    def __init__(
        self, ingestion: Command, kafka: MockKafka, environment: dict[str, str], folder: Path
    ) -> None:
        self._ingestion = ingestion
        self._kafka = kafka
        self._folder = folder
        state = {"TAPEHOUSE_STATE_DIR": str(folder / "state")}
        self.environment = {**environment, **FAST, "LIMITS_ATTEMPTS": "1", **state}

    def at(self, running: Running, keys: dict[str, str] | None = None) -> "Producer":
        urls = {name: url for name, url in running.urls.items() if name != "CONTROL_URL"}
        self.environment |= urls | (KEYS if keys is None else keys)
        return self

    def run(self, *arguments: str) -> Ended:
        report = self._folder / "report.json"
        report.unlink(missing_ok=True)
        arguments = (*arguments, "--report", str(report))
        return self._ingestion("produce", *arguments, environment=self.environment)

    def ok(self, *arguments: str) -> dict[str, Any]:
        """Run a command that must succeed; return its report."""
        found = self.run(*arguments)
        assert found.returncode == 0, found.stderr
        return self.report()

    def failed(self, *arguments: str) -> str:
        """Run a command that must fail; return its last line."""
        found = self.run(*arguments)
        assert found.returncode == 1, found.stdout
        assert "Traceback" not in found.stderr
        return found.stderr.splitlines()[-1]

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self._folder / "report.json").read_text())
        return report

    def sent(self, topic: str = "stock-market-batch") -> list[Message]:
        return [envelope.decode(found.value() or b"") for found in self._kafka.all(topic)]

    def spools(self) -> list[str]:
        """The spools that were used: streams that run beside each other must not share one."""
        return sorted(path.name for path in (self._folder / "state" / "spool").iterdir())

    def letters(self) -> list[dict[str, Any]]:
        return [
            {name: value for name, value in found.headers() or ()} | {"body": found.value()}
            for found in self._kafka.all("stock-market-dlq")
        ]


@pytest.fixture
def producer(
    ingestion: Command,
    kafka: MockKafka,
    mock_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Producer:
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(tmp_path / "no-settings"))
    return Producer(ingestion, kafka, mock_environment, tmp_path)


@contextmanager
def stopped_when(is_enough: Callable[[], bool]) -> Iterator[None]:
    """Send this process SIGTERM, as systemd does, once there is enough."""

    def watch() -> None:
        until = time.monotonic() + DONE_WITHIN_S
        while not is_enough() and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        watcher.join()


def asked(running: Running, kind: str) -> int:
    found: dict[str, int] = control(running, "counts")["requests"]
    return found.get(kind, 0)


def number(text: str | None) -> float | None:
    return None if text is None else float(text)


def test_a_year_of_the_default_ten_is_the_servers_own_and_is_sent_once(
    serve: Serve, producer: Producer
) -> None:
    """Values equal what the server handed out, null rows included; again gives no new event."""
    symbols = selected()
    nulls = (
        NullRow(provider="yahoo", symbol="AAPL", session=-3),
        NullRow(provider="yahoo", symbol="IBM", session=-9, keep_volume=False),
    )
    running = serve(*nulls, **NOW)
    report = producer.at(running).ok("yahoo")

    bars = [one for one in producer.sent() if isinstance(one, BarMessage)]
    noted = control(running, "observations", provider="yahoo", kind="bar.1d")
    served = {(one["symbol"], int(one["time"])): one["values"] for one in noted}
    found = {
        (bar.symbol, int(datetime.fromisoformat(bar.data.start).timestamp())): [
            number(getattr(bar.data, name))
            for name in ("open", "high", "low", "close", "volume", "adj_close")
        ]
        for bar in bars
    }
    n_nulls = sum(bar.data.close is None for bar in bars)
    assert len(symbols) == 10
    assert {bar.symbol for bar in bars} == set(symbols)
    assert all(250 <= count <= 253 for count in Counter(bar.symbol for bar in bars).values())
    assert (n_nulls, sum(bar.data.volume is None for bar in bars)) == (2, 1)
    # Yahoo may be asked for the time zone's sake beside the year: those rows are no answer to it.
    assert found == {key: served[key] for key in found}
    assert len(found) == len(bars)
    assert all(one.simulated for one in producer.sent())
    assert report["providers"]["yahoo"]["fetched"] == report["delivered"] == len(producer.sent())
    assert (report["units"], report["served_yahoo"], report["refused"]) == (10, 10, 0)

    before = {one.event_id for one in producer.sent()}
    again = producer.ok("yahoo")
    after = producer.sent()
    assert {one.event_id for one in after} == before
    assert 0 < again["delivered"] == len(after) - report["delivered"] < 10 * 10


def test_a_restated_bar_is_one_more_event(serve: Serve, producer: Producer) -> None:
    running = serve(**NOW)
    producer.at(running).ok("yahoo", "--symbol", "IBM")
    before = {one.event_id for one in producer.sent()}

    running.house.faults.add(Restate(provider="yahoo", symbol="IBM", session=-2, close="1.25"))
    producer.ok("yahoo", "--symbol", "IBM")

    [new] = [one for one in producer.sent() if one.event_id not in before]
    assert isinstance(new, BarMessage)
    assert new.data.close == "1.25"


def test_intraday_bars_go_back_as_far_as_yahoo_keeps_them(serve: Serve, producer: Producer) -> None:
    report = producer.at(serve(**NOW)).ok("yahoo", "--symbol", "IBM", "--interval", "15m")

    bars = [one for one in producer.sent() if isinstance(one, BarMessage)]
    assert {bar.data.interval for bar in bars} == {"15m"}
    assert 37 <= len({bar.data.session_date for bar in bars}) <= 43, "58 days"
    assert report["interval"] == "15m"


def test_an_interrupted_pull_goes_on_where_it_was(serve: Serve, producer: Producer) -> None:
    """The stop comes while the budget is waited for: what was fetched is sent, nobody is lost."""
    running = serve(**NOW)
    # More than there are requests, whatever yfinance still knows of a server on the same port.
    symbols = ["AAPL", "MSFT", "IBM", "GOOG", "JPM", "XOM"]
    options = [part for symbol in symbols for part in ("--symbol", symbol)]
    producer.at(running)
    producer.environment |= {"LIMITS_YAHOO": "5/minute"}
    with stopped_when(lambda: asked(running, "yahoo.chart") >= 2):
        report = producer.ok("yahoo", *options)

    assert report["interrupted"]
    first = {one.symbol for one in producer.sent()}
    assert {"AAPL"} <= first < set(symbols)
    assert report["delivered"] == report["sent"] == len(producer.sent())

    producer.environment |= {"LIMITS_YAHOO": "1000/second"}
    again = producer.ok("yahoo", *options)
    assert set(again["done_before"]) == first
    assert {one.symbol for one in producer.sent()} == set(symbols)
    assert len({one.event_id for one in producer.sent()}) == len(producer.sent())


def test_a_pull_is_repeated_until_it_is_stopped(serve: Serve, producer: Producer) -> None:
    running = serve(**NOW)
    with stopped_when(lambda: asked(running, "yahoo.chart") >= 6):
        report = producer.at(running).ok("yahoo", "--symbol", "IBM", "--every", "1.5s")

    assert report["interrupted"]
    assert report["rounds"] >= 2
    bars = [one for one in producer.sent() if isinstance(one, BarMessage)]
    assert len({bar.event_id for bar in bars}) < len(bars) < 2 * 250, "later rounds are short"


def test_a_round_that_fails_does_not_end_the_repetition(serve: Serve, producer: Producer) -> None:
    running = serve(Status(provider="yahoo", kind="chart", status=503, requests=3), **NOW)
    with stopped_when(lambda: asked(running, "yahoo.chart") >= 8):
        producer.at(running).ok("yahoo", "--symbol", "IBM", "--every", "1.5s")

    assert {one.symbol for one in producer.sent()} == {"IBM"}


def test_a_symbol_that_yahoo_does_not_have_fails_the_run_and_not_the_others(
    serve: Serve, producer: Producer
) -> None:
    found = producer.at(serve(**NOW)).run("yahoo", "--symbol", "NOSUCH", "--symbol", "IBM")

    assert found.returncode == 1
    line = found.stderr.splitlines()[-1]
    assert "1 of 2 units not served by any provider" in line
    assert "NOSUCH" in line
    assert {one.symbol for one in producer.sent()} == {"IBM"}
    assert producer.report()["no_data_yahoo"] == 1
    assert "budget left" in found.stdout, "the table, all the same"
    assert f"failed: sent {len(producer.sent())}, delivered {len(producer.sent())}" in found.stdout


@pytest.mark.parametrize("kind", ["yahoo", "alphavantage", "finnhub"])
def test_a_share_class_is_one_symbol_however_it_is_spelled(
    serve: Serve, producer: Producer, kind: str
) -> None:
    spelled = [part for symbol in ("brk-b", "BRK.B", "BRK-B") for part in ("--symbol", symbol)]
    found = producer.at(serve(**NOW, **NO_LIMITS)).run(kind, "--once", *spelled)

    assert found.returncode == 0, found.stderr
    assert "note:" not in found.stderr
    topic = "stock-quotes" if kind == "finnhub" else "stock-market-batch"
    assert {one.symbol for one in producer.sent(topic)} == {"BRK.B"}
    assert producer.report().get("units", 1) == 1


def test_a_symbol_that_is_nobody_s_is_told_and_asked_for(serve: Serve, producer: Producer) -> None:
    found = producer.at(serve(**NOW)).run("yahoo", "--symbol", "fb", "--symbol", "IBM")

    assert found.returncode == 0, found.stderr
    assert "note: FB is no symbol of today's instruments" in found.stderr
    assert "IBM is no symbol" not in found.stderr
    assert {one.symbol for one in producer.sent()} == {"FB", "IBM"}


def test_an_answer_that_is_none_is_a_dead_letter_byte_for_byte(
    serve: Serve, producer: Producer
) -> None:
    fault = Replace(provider="yahoo", kind="chart", find='"close":\\[[0-9.]+', text='"close":[NaN')
    producer.at(serve(fault, **NOW)).failed("yahoo", "--symbol", "IBM")

    letters = producer.letters()
    assert {letter["reason"] for letter in letters} == {b"malformed_answer"}
    assert b'"close":[NaN' in letters[0]["body"]
    assert {letter["source"] for letter in letters} == {b"yahoo"}


def test_the_stream_of_yahoo_is_sent_until_it_is_stopped(serve: Serve, producer: Producer) -> None:
    running = serve(served_at=MORNING, speed=600.0)
    with stopped_when(lambda: len(control(running, "observations", provider="yahoo")) > 20):
        report = producer.at(running).ok("yahoo", "--stream", "--symbol", "AAPL")

    quotes = producer.sent("stock-quotes")
    assert len(quotes) == report["quotes"] == report["providers"]["yahoo"]["fetched"] > 10
    assert {(one.source, one.symbol, one.simulated) for one in quotes} == {("yahoo", "AAPL", True)}
    assert producer.spools() == ["yahoo-stream"]


def test_one_round_of_quotes_is_one_of_each_symbol(serve: Serve, producer: Producer) -> None:
    running = serve(**NOW, **NO_LIMITS)
    report = producer.at(running).ok("finnhub", "--once")

    quotes = producer.sent("stock-quotes")
    assert sorted(one.symbol for one in quotes) == sorted(selected())
    assert all(isinstance(one, QuoteMessage) and one.simulated for one in quotes)
    assert report["providers"]["finnhub"]["requests"] == 10
    assert report["providers"]["finnhub"]["left"].keys() == {"1000/second"}
    assert producer.spools() == ["finnhub-quotes"]


def test_quotes_are_polled_until_a_stop(serve: Serve, producer: Producer) -> None:
    running = serve(**NOW, **NO_LIMITS)
    options = ("--symbol", "IBM", "--symbol", "AAPL", "--every", "0.2s")
    with stopped_when(lambda: asked(running, "finnhub.quote") >= 2):
        report = producer.at(running).ok("finnhub", *options)

    assert report["interrupted"]
    assert report["delivered"] == report["quotes"] == len(producer.sent("stock-quotes")) >= 2
    assert report["source"] == "finnhub"


def test_one_round_fails_where_a_quote_was_not_served(serve: Serve, producer: Producer) -> None:
    fault = Status(provider="finnhub", kind="quote", at_request=2, requests=1, status=503)
    running = serve(fault, **NOW, **NO_LIMITS)
    line = producer.at(running).failed(
        "finnhub", "--once", "--symbol", "IBM", "--symbol", "FB", "--symbol", "AAPL"
    )

    assert "FB quote" in line
    assert [one.symbol for one in producer.sent("stock-quotes")] != []
    assert {one.symbol for one in producer.sent("stock-quotes")} == {"IBM", "AAPL"}


def test_a_zero_quote_and_a_stale_one_are_sent_as_they_were_given(
    serve: Serve, producer: Producer
) -> None:
    """They are valid, and silver's to judge: none is dropped, mended or taken for another's."""
    running = serve(StaleQuote(provider="finnhub"), served_at=MORNING, **NO_LIMITS)
    report = producer.at(running).ok("finnhub", "--once", "--symbol", "NOSUCH", "--symbol", "FB")

    zero, stale = sorted(producer.sent("stock-quotes"), key=lambda one: one.event_time)
    assert isinstance(zero, QuoteMessage)
    assert isinstance(stale, QuoteMessage)
    assert (zero.symbol, zero.event_time) == ("NOSUCH", "1970-01-01T00:00:00.000000Z")
    assert zero.data == {
        "c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0,
    }  # fmt: skip
    assert (stale.symbol, stale.event_time) == ("FB", "2013-02-27T21:00:00.000000Z")
    assert [*stale.data.values()] == control(running, "observations", kind="quote")[0]["values"]
    assert (report["refused"], producer.letters()) == (0, [])


def test_every_hostile_body_that_a_provider_sends_is_a_letter(
    serve: Serve, producer: Producer, tmp_path: Path
) -> None:
    """By its server's HTTP, through the command, to Kafka: not one ends the run, none is lost."""
    bodies = [record.value for record in hostile.records() if record.value]
    lines = [
        json.dumps({"name": str(number), "body_b64": b64encode(body).decode()})
        for number, body in enumerate(bodies)
    ]
    (tmp_path / "bodies.jsonl").write_text("\n".join(lines))
    fault = Payload(
        provider="finnhub", kind="quote", requests=len(bodies), file=str(tmp_path / "bodies.jsonl")
    )
    running = serve(fault, **NOW, **NO_LIMITS)
    producer.at(running).environment |= {"LIMITS_BREAKER_FAILURES": "1000"}
    with stopped_when(lambda: asked(running, "finnhub.quote") > len(bodies)):
        report = producer.ok("finnhub", "--symbol", "IBM", "--every", "0.005s")

    letters = producer.letters()
    whole = [one.get("sha256", sha256(one["body"]).hexdigest().encode()) for one in letters]
    given = {sha256(body).hexdigest().encode() for body in bodies}
    assert {*whole} == given
    assert len(whole) == len(bodies)
    assert report["providers"]["finnhub"]["refused"] == len(letters)
    assert report["delivered"] == len(letters) + len(producer.sent("stock-quotes"))
    assert report["polls"] >= len(bodies)


def test_a_wrong_key_is_an_error_and_is_not_told(serve: Serve, producer: Producer) -> None:
    running = serve(keys={"finnhub": ("another",)}, **NOW)
    found = producer.at(running).run("finnhub", "--symbol", "IBM", "--symbol", "FB")

    assert found.returncode == 1
    assert "401" in found.stderr
    assert "finnhub-key" not in found.stderr + found.stdout
    assert asked(running, "finnhub.quote") == 1, "the key is refused, not the symbol"


def test_trades_are_sent_until_a_stop(serve: Serve, producer: Producer) -> None:
    running = serve(served_at=MORNING, speed=600.0)
    with stopped_when(lambda: len(control(running, "observations", kind="trade")) > 300):
        report = producer.at(running).ok("finnhub", "--kind", "trades", "--symbol", "AAPL")

    trades = producer.sent("stock-market-realtime")
    assert all(isinstance(one, TradeMessage) and one.simulated for one in trades)
    assert len({one.event_id for one in trades}) == len(trades) == report["trades"] > 100
    told = report["providers"]["finnhub"]
    assert (told["fetched"], told["refused"], told["sent"]) == (len(trades), 0, len(trades))
    assert told["requests"] == report["connections"] == 1, "a handshake is a request"
    assert producer.spools() == ["finnhub-trades"]


def test_a_stream_is_opened_within_the_budget_of_the_polls(
    serve: Serve, producer: Producer
) -> None:
    running = serve(served_at=MORNING)
    producer.at(running).environment |= {"LIMITS_FINNHUB": "1/minute", "LIMITS_MAX_WAIT_S": "0.5"}
    producer.ok("finnhub", "--once", "--symbol", "AAPL")
    until = time.monotonic() + 2
    with stopped_when(lambda: time.monotonic() > until):
        report = producer.ok("finnhub", "--kind", "trades", "--symbol", "AAPL")

    assert report["providers"]["finnhub"]["not_sent"] == report["lost_connections"] >= 1
    assert report["gaps"] == 1
    assert asked(running, "finnhub.stream") == 0


def test_a_mute_stream_is_opened_anew_after_the_time_that_is_set(
    serve: Serve, producer: Producer
) -> None:
    running = serve(Mute(provider="finnhub", kind="stream", pings=True), served_at=MORNING)
    producer.at(running).environment |= {
        "FINNHUB_MUTE_AFTER_S": "0.5", "TAPEHOUSE_CALENDAR": "24/7",
    }  # fmt: skip
    with stopped_when(lambda: asked(running, "finnhub.stream") >= 2):
        report = producer.ok("finnhub", "--kind", "trades", "--symbol", "AAPL")

    assert report["mute_connections"] >= 1
    assert report["gaps"] >= 1
    opened = [one["elapsed_s"] for one in control(running, "requests") if one["kind"] == "stream"]
    assert opened[1] - opened[0] < 30, "not the minute that it is without"


@pytest.mark.parametrize("premium", [False, True])
def test_alpha_vantage_gives_daily_bars_as_far_as_its_plan_goes(
    serve: Serve, producer: Producer, premium: bool
) -> None:
    running = serve(**NOW, **NO_LIMITS, **(PREMIUM if premium else {}))
    producer.at(running, KEYS | (PREMIUM_KEY if premium else {}))
    report = producer.ok("alphavantage", "--symbol", "IBM")

    bars = [one for one in producer.sent() if isinstance(one, BarMessage)]
    actions = [one for one in producer.sent() if isinstance(one, CorporateActionMessage)]
    assert (len(bars) >= 250, len(bars) in (99, 100)) == (premium, not premium)
    assert bool(actions) == premium
    assert {one.source for one in bars} == {"alphavantage"}
    assert report["providers"]["alphavantage"]["fetched"] == len(bars) + len(actions)


def test_intraday_bars_of_alpha_vantage(serve: Serve, producer: Producer) -> None:
    running = serve(**NOW, **NO_LIMITS, **PREMIUM)
    producer.at(running, KEYS | PREMIUM_KEY)
    day = running.house.market.view("IBM", "alphavantage").bars.sessions[-2].session_date
    options = ("--kind", "intraday", "--symbol", "IBM", "--start", str(day), "--end", str(day))
    producer.ok("alphavantage", *options)

    bars = [one for one in producer.sent() if isinstance(one, BarMessage)]
    assert {(bar.data.interval, bar.data.session_date) for bar in bars} == {("5m", str(day))}


def test_a_free_key_is_told_what_needs_another_plan(serve: Serve, producer: Producer) -> None:
    producer.at(serve(**NOW))
    assert "ALPHAVANTAGE_PREMIUM" in producer.failed("alphavantage", "--kind", "intraday")
    line = producer.failed("alphavantage", "--start", "2020-01-02")
    assert "ALPHAVANTAGE_PREMIUM" in line
    assert "2020-01-02" in line


def test_bars_come_from_the_next_provider_where_the_first_is_down(
    serve: Serve, producer: Producer
) -> None:
    fault = Status(provider="yahoo", kind="chart", requests=1, status=503)
    running = serve(fault, **NOW, **NO_LIMITS, **PREMIUM)
    producer.at(running, KEYS | PREMIUM_KEY)
    options = [part for symbol in ("IBM", "AAPL", "MSFT") for part in ("--symbol", symbol)]
    report = producer.ok("bars", *options)

    by_symbol: dict[str, set[str]] = {}
    for one in producer.sent():
        by_symbol.setdefault(one.symbol, set()).add(one.source)
    assert by_symbol == {"AAPL": {"yahoo"}, "IBM": {"alphavantage"}, "MSFT": {"yahoo"}}
    assert report["changes"] == 2
    assert (report["served_yahoo"], report["served_alphavantage"]) == (2, 1)
    assert set(report["providers"]) == {"yahoo", "alphavantage"}
    for name, row in report["providers"].items():
        mine = [one for one in producer.sent() if one.source == name]
        assert row["sent"] == row["fetched"] + row["refused"] == len(mine) > 0


def test_quotes_come_from_the_next_provider_where_the_budget_is_spent(
    serve: Serve, producer: Producer
) -> None:
    producer.at(serve(**NOW, limits={"finnhub": (Limit(2, 60.0),), "alphavantage": ()}))
    producer.environment |= {"LIMITS_FINNHUB": "2/minute", "LIMITS_MAX_WAIT_S": "0.5"}
    options = [part for symbol in ("AAPL", "IBM", "MSFT") for part in ("--symbol", symbol)]
    report = producer.ok("quotes", "--once", *options)

    sources = Counter(one.source for one in producer.sent("stock-quotes"))
    assert sources == {"finnhub": 2, "alphavantage": 1}
    assert report["providers"]["finnhub"]["not_sent"] == 1
    assert report["providers"]["finnhub"]["left"] == {"2/minute": 0}


def test_a_refusal_with_200_is_no_data_and_the_next_one_is_asked(
    serve: Serve, producer: Producer
) -> None:
    fault = Refusal(provider="alphavantage", text="day")
    producer.at(serve(fault, **NOW, **NO_LIMITS))
    producer.environment |= {"LIMITS_MAX_WAIT_S": "0.5"}
    options = ("--sources", "alphavantage,finnhub", "--symbol", "IBM", "--once")
    report = producer.ok("quotes", *options)

    assert [one.source for one in producer.sent("stock-quotes")] == ["finnhub"]
    assert report["providers"]["alphavantage"]["rate_limited"] == 1


def test_a_letter_names_the_provider_that_gave_it_and_another_one_serves(
    serve: Serve, producer: Producer
) -> None:
    fault = Replace(provider="finnhub", kind="quote", find='"c":[0-9.]+', text='"c":NaN')
    report = producer.at(serve(fault, **NOW, **NO_LIMITS)).ok("quotes", "--once", "--symbol", "IBM")

    [letter] = producer.letters()
    assert letter["source"] == b"finnhub"
    assert b'"c":NaN' in letter["body"]
    assert [one.source for one in producer.sent("stock-quotes")] == ["alphavantage"]
    rows = report["providers"]
    assert {name: (row["fetched"], row["refused"], row["sent"]) for name, row in rows.items()} == {
        "finnhub": (0, 1, 1),
        "alphavantage": (1, 0, 1),
    }


@pytest.mark.parametrize(
    ("arguments", "variable"),
    [
        (("finnhub",), "FINNHUB_API_KEY"),
        (("finnhub", "--kind", "trades"), "FINNHUB_API_KEY"),
        (("alphavantage",), "ALPHAVANTAGE_API_KEY"),
        (("bars", "--sources", "yahoo,alphavantage"), "ALPHAVANTAGE_API_KEY"),
        (("quotes", "--sources", "finnhub,alphavantage"), "FINNHUB_API_KEY"),
        (("quotes",), "FINNHUB_API_KEY"),
    ],
)
def test_a_missing_key_is_named_and_nobody_is_asked(
    serve: Serve, producer: Producer, arguments: tuple[str, ...], variable: str
) -> None:
    running = serve(**NOW)
    line = producer.at(running, keys={}).failed(*arguments)

    assert f"{variable} is not set" in line
    assert control(running, "counts")["requests"] == {}


def test_a_configured_list_needs_its_keys_too(serve: Serve, producer: Producer) -> None:
    producer.at(serve(**NOW), keys={})
    producer.environment |= {"PRODUCE_BARS_SOURCES": "yahoo,alphavantage"}
    assert "ALPHAVANTAGE_API_KEY is not set" in producer.failed("bars")


def test_of_the_built_in_list_a_provider_without_key_is_left_out_and_told(
    serve: Serve, producer: Producer
) -> None:
    found = producer.at(serve(**NOW), keys={}).run("bars", "--symbol", "IBM")

    assert found.returncode == 0, found.stderr
    assert "alphavantage is left out: ALPHAVANTAGE_API_KEY is not set" in found.stderr
    assert {one.source for one in producer.sent()} == {"yahoo"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("yahoo", "--interval", "30m"), "--interval"),
        (("yahoo", "--every", "soon"), "--every"),
        (("yahoo", "--every", "0s"), "--every"),
        (("yahoo", "--once", "--stream"), "--stream"),
        (("yahoo", "--stream", "--start", "2024-01-02"), "--start"),
        (("yahoo", "--universe", "some"), "--universe"),
        (("yahoo", "--start", "2024-01-03", "--end", "2024-01-02"), "--start"),
        (("finnhub", "--kind", "trades", "--once"), "--once"),
        (("alphavantage", "--kind", "quotes", "--start", "2024-01-02"), "--start"),
        (("alphavantage", "--interval", "5m"), "--interval"),
        (("bars", "--sources", "yahoo,finnhub"), "finnhub"),
        (("quotes", "--sources", "yahoo"), "yahoo"),
        (("quotes", "--sources", ""), "--sources"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    producer: Producer, arguments: tuple[str, ...], named: str
) -> None:
    producer.environment |= KEYS
    assert named in producer.failed(*arguments)


def test_a_spent_budget_fails_the_pull_and_the_next_one_goes_on(
    serve: Serve, producer: Producer
) -> None:
    producer.at(serve(**NOW, **NO_LIMITS))
    producer.environment |= {"LIMITS_ALPHAVANTAGE": "1/day", "LIMITS_MAX_WAIT_S": "0.5"}
    options = ("alphavantage", "--symbol", "IBM", "--symbol", "AAPL")
    line = producer.failed(*options)
    assert "AAPL" in line
    assert "no request for" in line
    assert {one.symbol for one in producer.sent()} == {"IBM"}

    producer.environment |= {"LIMITS_ALPHAVANTAGE": "9/day"}
    again = producer.ok(*options)
    assert again["done_before"] == ["IBM"]
    assert {one.symbol for one in producer.sent()} == {"IBM", "AAPL"}


def test_while_kafka_is_away_no_provider_is_asked(
    serve: Serve, producer: Producer, kafka: MockKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestion.produce.execute.CONNECT_TIMEOUT_S", 0.5)
    running = serve(**NOW)
    kafka.stop()
    assert "Kafka" in producer.at(running).failed("yahoo", "--symbol", "IBM")
    assert asked(running, "yahoo.chart") == 0


def test_a_server_of_ones_own_has_a_progress_of_its_own(serve: Serve, producer: Producer) -> None:
    """What a local server gave is not taken for what Yahoo gave."""
    for _ in range(2):
        producer.at(serve(**NOW)).ok("yahoo", "--symbol", "IBM")

    bars = [one for one in producer.sent() if isinstance(one, BarMessage)]
    assert len(bars) >= 500
