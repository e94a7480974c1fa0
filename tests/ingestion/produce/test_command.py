"""The command as a person runs it, against the mock broker."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
from confluent_kafka import KafkaError

from ingestion.contracts import envelope
from ingestion.produce import execute
from ingestion.produce import kafka as kafka_module
from ingestion.produce.command import app
from ingestion.produce.spool_file import contents
from ingestion.settings import ROOT
from ingestion.sources.stocks_csv import HEADER
from tests.ingestion.contracts.samples import sample
from tests.ingestion.produce.conftest import Command, MockKafka


@pytest.fixture(autouse=True)
def _without_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a stack of other tests is in force."""
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(tmp_path / "no-settings"))


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_help_imports_no_part() -> None:
    program = (
        "import sys, ingestion.__main__\n"
        "heavy = {'pandas', 'confluent_kafka', 'duckdb', 'ingestion.load', 'ingestion.land'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )

    found = process("-c", program)

    assert found.returncode == 0, found.stderr


def test_help_names_every_command() -> None:
    found = process("-m", "ingestion", "--help")

    assert found.returncode == 0
    for name in ("produce", "land", "load", "contracts"):
        assert name in found.stdout


def test_recorded_bars_are_sent_and_reported(
    ingestion: Command, kafka: MockKafka, mock_environment: dict[str, str], tmp_path: Path
) -> None:
    report = tmp_path / "reports" / "produce.json"

    found = ingestion(
        "produce", "recorded", "--last-sessions", "2", "--report", str(report), "--run-id", "r1",
        environment=mock_environment,
    )  # fmt: skip

    assert found.returncode == 0, found.stderr
    summary = json.loads(report.read_text())
    assert (summary["sent"], summary["delivered"], summary["refused"]) == (10, 10, 0)
    assert summary["by_topic"] == {"stock-market-batch": {"sent": 10, "delivered": 10}}
    assert (summary["source"], summary["run_id"]) == ("recorded", "r1")
    values = [envelope.decode(m.value() or b"") for m in kafka.read("stock-market-batch", 10)]
    assert {message.run_id for message in values} == {"r1"}


def test_a_bad_line_of_a_file_is_a_dead_letter_and_the_rest_is_sent(
    ingestion: Command, kafka: MockKafka, mock_environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(HEADER + b"\nIBM,2013-03-01,NaN,2,1,2,100,2\nIBM,2013-03-01,1,2,1,2,100,2\n")

    found = ingestion("produce", "recorded", "--file", str(path), environment=mock_environment)

    assert found.returncode == 0, found.stderr
    assert "refused 1" in found.stdout
    (dead,) = kafka.read("stock-market-dlq", 1)
    assert dead.value() == b"IBM,2013-03-01,NaN,2,1,2,100,2"
    kafka.read("stock-market-batch", 1)


def test_foreign_lines_go_through_the_contract(
    ingestion: Command, kafka: MockKafka, mock_environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "foreign.jsonl"
    good = json.dumps(sample("quote.v1")).encode()
    path.write_bytes(good + b"\n{}\nnot json\n")

    found = ingestion(
        "produce", "raw", "--file", str(path), "--source", "partner", environment=mock_environment
    )

    assert found.returncode == 0, found.stderr
    assert "refused 2" in found.stdout
    assert [m.value() for m in kafka.read("stock-quotes", 1)] == [good]
    dead = {m.value() for m in kafka.read("stock-market-dlq", 2)}  # no key: on any partition
    assert dead == {b"{}", b"not json"}


def test_simulated_trades_and_quotes_are_sent(
    ingestion: Command, kafka: MockKafka, mock_environment: dict[str, str], tmp_path: Path
) -> None:
    report = tmp_path / "report.json"

    found = ingestion(
        "produce", "simulator", "--symbol", "IBM", "--last-sessions", "1", "--report", str(report),
        "--quote-interval", "600", "--volume-fraction", "0.01", environment=mock_environment,
    )  # fmt: skip

    assert found.returncode == 0, found.stderr
    summary = json.loads(report.read_text())
    assert summary["quotes"] == 39
    assert summary["volume_fraction"] == "0.01"
    kafka.read("stock-quotes", 39)
    kafka.read("stock-market-realtime", summary["trades"])


def test_a_generated_market_is_sent_with_its_bars(
    ingestion: Command, kafka: MockKafka, mock_environment: dict[str, str], tmp_path: Path
) -> None:
    report = tmp_path / "produce.json"

    found = ingestion(
        "produce", "simulator", "--generated", "3", "--symbol", "IBM", "--end", "2024-07-07",
        "--last-sessions", "2", "--report", str(report), "--quote-interval", "0",
        "--volume-fraction", "0.001", environment=mock_environment,
    )  # fmt: skip

    assert found.returncode == 0, found.stderr
    summary = json.loads(report.read_text())
    assert summary["sessions"] == ["2024-07-03", "2024-07-05"]
    bars = [
        envelope.decode(record.value() or b"") for record in kafka.read("stock-market-batch", 6)
    ]
    assert {bar.symbol for bar in bars} == {"IBM", "SIM0001", "SIM0002"}
    kafka.read("stock-market-realtime", summary["trades"])


ONE_GENERATED = [
    *("simulator", "--generated", "1"), *("--end", "2024-01-02", "--last-sessions", "1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["recorded"], "KAFKA_PRODUCER_PASSWORD"),
        (["recorded", "--run-id", "r" * 65], "--run-id"),
        (["simulator", "--volume-fraction", "0"], "--volume-fraction"),
        (["simulator", "--volume-fraction", "x"], "--volume-fraction"),
        (["simulator", "--symbol", "NOPE"], "NOPE"),
        (["simulator", "--generated", "2", "--start", "2024-01-02"], "--end"),
        ([*ONE_GENERATED, "--symbol", "A", "--symbol", "B"], "--symbol"),
        ([*ONE_GENERATED, "--symbol", "../etc"], "symbol"),
        (["simulator", "--generated", "2", "--end", "2024-01-02"], "--last-sessions"),
        (
            ["simulator", "--generated", "2", "--start", "2024-01-06", "--end", "2024-01-07"],
            "no session",
        ),
    ],
)
def test_an_expected_error_is_one_line_and_a_failure(
    ingestion: Command, arguments: list[str], named: str
) -> None:
    found = ingestion("produce", *arguments)

    assert found.returncode == 1
    assert named in found.stderr
    assert found.stderr.count("\n") == 1
    assert "Traceback" not in found.stderr


def test_debug_shows_the_traceback() -> None:
    found = process("-m", "ingestion", "produce", "recorded", "--debug")

    assert found.returncode == 1
    assert "Traceback" in found.stderr
    assert found.stderr.splitlines()[-1].startswith("error: KAFKA_PRODUCER_PASSWORD")


def test_a_report_that_cannot_be_written_is_a_failure(
    ingestion: Command, kafka: MockKafka, mock_environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    report = str(tmp_path / "file" / "x.json")
    found = ingestion(
        "produce", "recorded", "--last-sessions", "1", "--report", report,
        environment=mock_environment,
    )  # fmt: skip

    assert found.returncode == 1
    assert "Traceback" not in found.stderr


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings of a broker that is not there, which is noticed at once."""
    monkeypatch.setattr(execute, "CONNECT_TIMEOUT_S", 0.1)
    monkeypatch.setattr(kafka_module, "AWAY_S", 0.1)
    return {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}


def test_a_full_spool_is_one_line_with_its_place_and_count_and_a_failure(
    ingestion: Command, away: dict[str, str], tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    found = ingestion(
        "produce", "recorded", "--spool", str(tmp_path / "spool"), "--report", str(report),
        environment=away | {"PRODUCE_SPOOL_MAX_BYTES": "50000"},
    )  # fmt: skip

    assert found.returncode == 1
    *_, warning, error = found.stderr.splitlines()
    assert warning.startswith("warning: Kafka at 127.0.0.1:1 does not answer")
    kept = contents(tmp_path / "spool").records
    assert f"{tmp_path}/spool/spool.db ({kept:,} records" in error
    assert json.loads(report.read_text())["spooled"] == kept > 0


def test_the_spool_of_an_absent_broker_is_shown_and_drained(
    ingestion: Command,
    away: dict[str, str],
    kafka: MockKafka,
    mock_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    spool = ("--spool", str(tmp_path / "spool"))
    kept = ingestion(
        "produce", "recorded", "--last-sessions", "2", *spool, "--delivery-timeout", "1",
        environment=away,
    )  # fmt: skip
    shown = ingestion("produce", "spool", "status", *spool)
    refused = ingestion("produce", "spool", "drain", *spool)
    drained = ingestion("produce", "spool", "drain", *spool, environment=mock_environment)

    assert kept.returncode == 1
    assert "10 records are kept in the spool" in kept.stderr
    assert "10 records" in shown.stdout
    assert refused.returncode == 1
    assert "does not answer" in refused.stderr
    assert drained.returncode == 0, drained.stderr
    assert contents(tmp_path / "spool").records == 0
    kafka.read("stock-market-batch", 10)


def test_what_kafka_will_not_take_is_shown_and_tried_again_when_asked(
    ingestion: Command, kafka: MockKafka, mock_environment: dict[str, str], tmp_path: Path
) -> None:
    spool, error = ("--spool", str(tmp_path / "spool")), KafkaError.POLICY_VIOLATION
    only = ("--last-sessions", "1", "--symbol", "IBM")
    kafka.fail_next(error, error)

    refused = ingestion("produce", "recorded", *only, *spool, environment=mock_environment)
    plain = ingestion("produce", "spool", "drain", *spool)
    shown = ingestion("produce", "spool", "status", *spool)
    kafka.read("stock-market-batch", 0)
    tried = ingestion("produce", "spool", "drain", "--set-aside", *spool)

    assert refused.returncode == 1
    assert "1 records that Kafka will not take are set aside in the spool" in refused.stderr
    assert plain.returncode == 0, plain.stderr
    assert "set aside: 1 records" in shown.stdout
    assert "Policy violation" in shown.stdout
    assert tried.returncode == 0, tried.stderr
    assert contents(tmp_path / "spool").aside == ()
    kafka.read("stock-market-batch", 1)


def test_sigterm_ends_a_run_while_its_pipe_is_silent(
    ingestion: Command, kafka: MockKafka, mock_environment: dict[str, str], tmp_path: Path
) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"said\n")

    def terminate() -> None:
        while not kafka.all("stock-market-dlq"):
            pass  # a call takes its time
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=terminate, daemon=True).start()
    found = ingestion(
        "produce", "raw", "--file", f"/dev/fd/{ours}", "--source", "feed",
        "--spool", str(tmp_path / "spool"), environment=mock_environment,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)

    assert found.returncode == 0, found.stderr
    assert "stopped early: sent 1, delivered 1" in found.stdout


COMMANDS = (
    "yahoo", "finnhub", "alphavantage", "bars", "quotes", "recorded", "simulator", "raw",
)  # fmt: skip


def test_these_are_all_commands() -> None:
    named = {
        found.name or getattr(found.callback, "__name__", "") for found in app.registered_commands
    }

    assert named == {*COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_tells_its_options(ingestion: Command, command: str) -> None:
    found = ingestion("produce", command, "--help", environment={"COLUMNS": "200"})

    assert found.returncode == 0
    shared = {"--rate", "--report", "--run-id", "--delivery-timeout", "--ledger", "--spool"}
    live = {"--symbol", "--universe", "--once", "--every"}
    range_ = {"--start", "--end"}
    own = {
        "yahoo": live | range_ | {"--interval", "--stream"},
        "finnhub": live | {"--kind"},
        "alphavantage": live | range_ | {"--kind", "--interval"},
        "bars": live | range_ | {"--sources"},
        "quotes": live | {"--sources"},
        "recorded": range_ | {"--symbol", "--speed", "--faults", "--truth"},
        "simulator": range_ | {"--symbol", "--seed", "--faults", "--truth"},
        "raw": {"--file", "--source"},
    }
    assert {option for option in shared | own[command] if option not in found.stdout} == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_that_is_none_is_a_wrong_use(ingestion: Command, command: str) -> None:
    assert ingestion("produce", command, "--nonsense").returncode == 2


def test_a_spool_that_is_not_there_is_an_error(ingestion: Command, tmp_path: Path) -> None:
    found = ingestion("produce", "spool", "status", "--spool", str(tmp_path))

    assert found.returncode == 1
    assert f"expected a spool in {tmp_path}" in found.stderr
