"""The script: what it may say, and what the servers do at which request or second."""

import asyncio
import base64
import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from starlette.datastructures import URL

from ingestion.errors import SettingsError
from ingestion.fakes import script as scripts
from ingestion.fakes.faults import Faults
from ingestion.fakes.finnhub_stream import FinnhubStream
from ingestion.fakes.limits import Windows
from ingestion.fakes.record import Record
from ingestion.fakes.running import Running, running
from ingestion.fakes.script import (
    Dead,
    Drop,
    ErrorFrame,
    Limit,
    Mute,
    Payload,
    Replace,
    Script,
    Status,
    Timeout,
    Truncate,
    load,
)
from ingestion.fakes.site import Options
from ingestion.fakes.stream import Connection, Stream
from ingestion.fakes.yahoo_stream import YahooStream
from tests.ingestion.fakes.conftest import EVENING, MORNING, Serve, control, get

EXAMPLE = Path(__file__).parents[3] / "ingestion" / "fakes" / "example-script.yml"


class ManualClock:
    """A clock whose seconds the test counts."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> Any:
        return EVENING

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def _ask(running: Running, timeout: float = 5.0) -> httpx.Response:
    url = running.urls["YAHOO_BASE_URL"] + "/v8/finance/chart/FB?range=5d&interval=1d"
    return httpx.get(url, timeout=timeout)


def _status(running: Running) -> int | str:
    try:
        return _ask(running).status_code
    except httpx.HTTPError as error:
        return type(error).__name__


def test_the_example_is_a_script_and_its_every_kind_of_fault_is_known() -> None:
    script = load(EXAMPLE)
    kinds = {type(fault) for fault in script.faults}
    assert kinds == set(scripts.AnyFault.__args__) - {Payload}


@pytest.mark.parametrize(
    "text",
    [
        "faults: [{provider: yahoo, fault: nothing}]",
        "faults: [{provider: yahoo, fault: status}]",
        "faults: [{provider: yahoo, fault: status, status: 200}]",
        "faults: [{provider: nobody, fault: drop}]",
        "faults: [{provider: yahoo, fault: drop, after: 3}]",
        "limits: {yahoo: [{requests: 0, seconds: 1}]}",
        "unknown: 1",
        "{",
    ],
)
def test_a_script_with_a_mistake_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "script.yml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"script\.yml"):
        load(path)


def test_faults_act_at_their_requests_and_no_others(serve: Serve) -> None:
    running = serve(
        Status(provider="yahoo", at_request=2, requests=2, status=503),
        Drop(provider="yahoo", at_request=4, requests=1),
        Truncate(provider="yahoo", at_request=5, requests=1),
        Status(provider="finnhub", status=500),
    )
    assert [_status(running) for _ in range(6)] == [
        200, 503, 503, "RemoteProtocolError", "RemoteProtocolError", 200,
    ]  # fmt: skip
    answers = [one["status"] for one in control(running, "requests")]
    assert answers == ["200", "503", "503", "drop", "200", "200"]


def test_a_fault_is_counted_among_the_requests_that_it_names(serve: Serve) -> None:
    running = serve(Status(provider="yahoo", kind="chart", at_request=2, requests=1, status=502))
    get(running, "YAHOO_BASE_URL", "/v1/test/getcrumb")
    assert [_status(running) for _ in range(3)] == [200, 502, 200]
    assert get(running, "YAHOO_BASE_URL", "/v1/test/getcrumb").status_code == 200


def test_faults_act_in_their_seconds() -> None:
    clock = ManualClock()
    record = Record(clock, Script())
    wave = Status(provider="yahoo", at_s=10.0, for_s=5.0, status=429)
    faults = Faults(Script(faults=(wave,)), record)
    found = []
    for second in (9.9, 10.0, 14.9, 15.0):
        clock.seconds = second
        record.asked("yahoo", "chart", "", URL("/"))
        found.append(faults.acting("yahoo", "chart", Status))
    assert found == [[], [wave], [wave], []]


def test_a_request_without_an_answer_is_held_then_closed(serve: Serve) -> None:
    running = serve(Timeout(provider="yahoo", requests=1, hold_s=0.5))
    with pytest.raises(httpx.ReadTimeout):
        _ask(running, timeout=0.2)
    running = serve(Timeout(provider="yahoo", requests=1, hold_s=0.2))
    assert [_status(running) for _ in range(2)] == ["RemoteProtocolError", 200]


def test_a_value_may_be_replaced_by_what_is_no_number(serve: Serve) -> None:
    running = serve(Replace(provider="yahoo", find=r'"close":\[[^,]+', text='"close":[NaN'))
    assert '"close":[NaN,' in _ask(running).text
    assert not control(running, "observations")


def test_payloads_come_from_a_file_one_a_request(tmp_path: Path) -> None:
    bodies = [b"\xff\xfe", b"[" * 1_000, b""]
    _write(tmp_path / "bad.jsonl", bodies)
    path = tmp_path / "script.yml"
    path.write_text("faults: [{provider: yahoo, fault: payload, file: bad.jsonl, requests: 3}]")
    with running(Options(served_at=EVENING, script=load(path))) as servers:
        assert [_ask(servers).content for _ in range(3)] == bodies
        assert _ask(servers).json()["chart"]["error"] is None


def _write(path: Path, bodies: list[bytes]) -> None:
    lines = [
        json.dumps({"name": str(n), "body_b64": base64.b64encode(body).decode()})
        for n, body in enumerate(bodies)
    ]
    path.write_text("\n".join(lines))


def test_a_missing_file_of_payloads_fails_at_the_start(tmp_path: Path) -> None:
    script = Script(faults=(Payload(provider="yahoo", file="none"),), folder=str(tmp_path))
    with pytest.raises(SettingsError, match="none"):
        Faults(script, Record(ManualClock(), script))


def test_a_dead_provider_has_its_port_closed_and_comes_back(serve: Serve) -> None:
    running = serve(Dead(provider="yahoo", for_s=1.5))
    assert _status(running) == "ConnectError"
    assert get(running, "FINNHUB_BASE_URL", "/quote", symbol="FB", token="k").status_code == 200
    seen = []
    while not seen or seen[-1] != 200:
        seen.append(_status(running))
        assert control(running, "counts")["elapsed_s"] < 15
    assert set(seen) == {"ConnectError", 200}


def test_faults_may_be_added_and_taken_back_while_it_runs(served: Running) -> None:
    url = served.urls["CONTROL_URL"] + "/faults"
    document = {"fault": "status", "provider": "yahoo", "status": 503}
    assert httpx.post(url, json=document).status_code == 200
    assert _status(served) == 503
    httpx.delete(url)
    assert _status(served) == 200
    assert httpx.post(url, json={"fault": "status"}).status_code == 400
    assert httpx.post(url, content=b"{").status_code == 400


def test_an_added_fault_counts_from_when_it_was_added(served: Running) -> None:
    assert [_status(served) for _ in range(3)] == [200] * 3
    url = served.urls["CONTROL_URL"] + "/faults"
    document = {"fault": "status", "provider": "yahoo", "status": 503, "requests": 2}
    httpx.post(url, json=document)
    assert [_status(served) for _ in range(3)] == [503, 503, 200]


def _frames(running: Running, count: int) -> list[str | bytes]:
    async def listen() -> list[str | bytes]:
        async with websockets.connect(running.urls["YAHOO_STREAM_URL"]) as socket:
            async with asyncio.timeout(10):
                return [await socket.recv() for _ in range(count)]

    return asyncio.run(listen())


@pytest.mark.parametrize(
    ("name", "query"), [("YAHOO_STREAM_URL", ""), ("FINNHUB_STREAM_URL", "?token=key")]
)
def test_a_stream_is_labelled_as_simulated(served: Running, name: str, query: str) -> None:
    async def label() -> str | None:
        async with websockets.connect(f"{served.urls[name]}{query}") as one:
            assert one.response is not None
            return one.response.headers.get("X-Tapehouse-Simulated")

    assert asyncio.run(label()) == "true"


def test_a_stream_gives_payloads_as_frames(serve: Serve, tmp_path: Path) -> None:
    bodies = [b'{"type":"pricing","message":"!"}', b"\xff"]
    path = tmp_path / "bad.jsonl"
    _write(path, bodies)
    running = serve(Payload(provider="yahoo", kind="stream", file=str(path)))
    assert _frames(running, 3) == [bodies[0].decode(), bodies[1], bodies[0].decode()]


def test_what_went_out_in_place_of_an_answer_is_told_by_its_hash(
    serve: Serve, tmp_path: Path
) -> None:
    path = tmp_path / "bad.jsonl"
    _write(path, [b"bad"])
    running = serve(
        Payload(provider="yahoo", kind="chart", file=str(path), requests=1),
        Payload(provider="yahoo", kind="stream", file=str(path)),
        Replace(provider="finnhub", kind="quote", find='"c":[0-9.]+', text='"c":NaN'),
        ErrorFrame(provider="yahoo", kind="stream", text="no"),
    )
    _status(running), _status(running)
    quote = get(running, "FINNHUB_BASE_URL", "/quote", symbol="FB", token="k").content
    _, error = _frames(running, 2)

    assert isinstance(error, str)
    told = control(running, "disturbances")
    bad = hashlib.sha256(b"bad").hexdigest()
    assert [(one["provider"], one["kind"], one["sha256"]) for one in told][:4] == [
        ("yahoo", "chart", bad),
        ("finnhub", "quote", hashlib.sha256(quote).hexdigest()),
        ("yahoo", "stream", bad),
        ("yahoo", "stream", hashlib.sha256(error.encode()).hexdigest()),
    ]


@pytest.mark.parametrize("kind", [YahooStream, FinnhubStream])
def test_who_unsubscribes_while_frames_are_made_stays_unsubscribed(
    serve: Serve, kind: type[Stream]
) -> None:
    since = MORNING - timedelta(hours=1)
    connection = Connection(None, None, None, "test")  # type: ignore[arg-type]
    connection.symbols = {"AAPL": since, "IBM": since}

    async def frames() -> list[Any]:
        made = kind(serve(served_at=MORNING).house).frames(connection, MORNING)
        first = asyncio.create_task(anext(made))
        await asyncio.sleep(0)
        del connection.symbols["IBM"]
        return [await first, *[frame async for frame in made]]

    given = [one.symbol for frame in asyncio.run(frames()) for one in frame.given]
    assert set(given) == set(connection.symbols) == {"AAPL"}


def test_what_a_mute_stream_kept_back_is_counted_and_not_handed_out() -> None:
    fault = Mute(provider="yahoo", kind="stream")
    options = Options(served_at=MORNING, speed=600.0, script=Script(faults=(fault,)))
    with running(options) as mute:

        async def listen() -> None:
            async with websockets.connect(mute.urls["YAHOO_STREAM_URL"]) as socket:
                await socket.send('{"subscribe":["AAPL"]}')
                while not control(mute, "counts")["withheld"]:
                    await asyncio.sleep(0.05)

        asyncio.run(asyncio.wait_for(listen(), 10))
        assert control(mute, "observations") == []


def test_a_stream_s_connection_may_be_refused_and_its_port_closed(serve: Serve) -> None:
    running = serve(Status(provider="yahoo", kind="stream", status=503, requests=1))
    with pytest.raises(websockets.InvalidStatus, match="503"):
        _frames(running, 0)
    assert _frames(running, 0) == []
    running = serve(Dead(provider="yahoo", at_s=1.0, for_s=60.0))
    with pytest.raises(websockets.ConnectionClosedError):
        _frames(running, 1)


def test_windows_slide_and_refused_requests_are_not_counted() -> None:
    windows = Windows((Limit(2, 10.0), Limit(3, 100.0)), slack_s=0.0)
    broken = [windows.broken_by(at) for at in (0.0, 1.0, 2.0, 9.9, 10.0, 20.0, 21.0)]
    minute, hour = Limit(2, 10.0), Limit(3, 100.0)
    assert broken == [None, None, minute, minute, None, hour, hour]


def test_slack_is_taken_off_each_window() -> None:
    windows = Windows((Limit(1, 1.0),), slack_s=0.05)
    assert [windows.broken_by(at) for at in (0.0, 0.94, 0.96)] == [None, Limit(1, 1.0), None]


def test_cookies_and_streams_count_against_a_limit_as_all_else(serve: Serve) -> None:
    running = serve(limits={"yahoo": (Limit(2, 60.0),)})
    get(running, "YAHOO_BASE_URL", "/")
    assert get(running, "YAHOO_BASE_URL", "/v1/test/getcrumb").status_code == 200
    assert get(running, "YAHOO_BASE_URL", "/v1/test/getcrumb").status_code == 429
    assert _status(running) == 429
    with pytest.raises(websockets.InvalidStatus, match="429"):
        _frames(running, 0)
    assert [one["kind"] for one in control(running, "violations")] == ["session", "chart", "stream"]


def test_keys_have_budgets_of_their_own_and_are_noted_only_as_hashes(serve: Serve) -> None:
    running = serve(limits={"finnhub": (Limit(1, 60.0),)})
    for key in ("secret-one", "secret-two", "secret-one"):
        get(running, "FINNHUB_BASE_URL", "/quote", symbol="FB", token=key)
    requests = control(running, "requests")
    assert [one["status"] for one in requests] == ["200", "200", "429"]
    assert requests[0]["key"] == requests[2]["key"] != requests[1]["key"]
    assert {one["query"] for one in requests} == {"symbol=FB"}
    everything = [control(running, name) for name in ("requests", "violations", "counts")]
    assert "secret" not in json.dumps(everything)
    assert len(control(running, "violations")) == 1
