import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.land import __main__ as command
from benchmarks.land import data, hot, latency, measure, ours, report
from ingestion.errors import TapehouseError
from ingestion.land import lines

BUSY = "import time\nwhile time.process_time() < 0.5: pass"


def test_the_messages_are_valid_differ_and_fill_partitions_evenly() -> None:
    items = list(data.made_up(4_000))

    assert all(lines.is_document(item.value) for item in items)
    assert len({item.value for item in items}) == len(items)
    assert 215 < sum(len(item.value) for item in items) / len(items) < 235
    share = Counter(item.partition for item in items)
    assert sorted(share) == list(range(data.PARTITIONS))
    assert min(share.values()) > 900
    assert len({(item.key, item.partition) for item in items}) == len({i.key for i in items})


def test_a_run_counts_only_what_was_used_between_its_two_moments() -> None:
    samples = [
        measure.Sample(10.0, 1.0, 50),
        measure.Sample(11.0, 2.0, 90),
        measure.Sample(13.0, 4.0, 70),
        measure.Sample(14.0, 0.0, 0),
    ]

    run = measure.run_of(samples, 1_000_000, begin=10.5, end=13.5)

    assert (run.seconds, run.cpu_s, run.peak_rss) == (3.0, 2.5, 90)
    assert run.rate == pytest.approx(1_000_000 / 3)
    assert run.cpu_us == pytest.approx(2.5)


def _line(event: str, second: int, **told: object) -> str:
    return json.dumps({"event": event, "timestamp": f"2026-01-01T00:00:{second:02}Z", **told})


def test_a_lander_is_measured_from_its_first_partition_to_its_last_object() -> None:
    log = [
        "not a line of the log",
        _line("assigned", 1, partitions=[]),
        _line("assigned", 2, partitions=["t/0", "t/1"]),
        _line("landed", 3, count=100),
        _line("landed", 9, count=3),
        _line("revoked", 10, partitions=["t/0", "t/1"]),
    ]

    begin, end = ours.span(log)

    assert end - begin == 7


def test_several_landers_are_measured_until_so_many_are_landed() -> None:
    first = [_line("landed", 3, count=40), _line("landed", 9, count=10)]
    second = [_line("assigned", 1, partitions=["t/1"]), _line("landed", 5, count=50)]

    found = hot.reached(60, ours.events([*first, *second]))

    assert found[0] == 90
    assert found[1] - next(ours.events(second))[1] == 4


def test_a_process_is_sampled_to_its_end() -> None:
    process = subprocess.Popen([sys.executable, "-c", BUSY])

    samples = measure.watch([process])

    assert process.returncode == 0
    assert samples[-1].at > samples[0].at
    assert 0.2 < max(sample.cpu_s for sample in samples) < 2
    assert max(sample.rss for sample in samples) > 2**20


def test_a_process_that_does_not_end_by_itself_is_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    measure.watch([process], is_over=lambda: True)

    assert process.returncode != 0


def test_a_failed_process_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\nlast\n")
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    process.wait()

    with pytest.raises(TapehouseError, match=r"ended with 3:\nfirst\nlast$"):
        measure.require_success(process, log)


def test_a_row_holds_every_run_the_median_and_its_share_of_the_limit() -> None:
    limit = [measure.Run(1000, 1.0, 0.001, 2**20)]
    ours = [measure.Run(1000, seconds, 0.002, 2**21) for seconds in (4.0, 2.0, 1.0)]

    [_, row] = report.rows({"limit": limit, "ours": ours}, "limit")

    assert row["runs"] == [250, 500, 1000]
    assert (row["median"], row["unit"]) == (500, "records/s")
    assert (row["cpu_us_per_record"], row["peak_rss_mib_per_process"]) == (2.0, 2)
    assert row["share_of_limit"] == 0.5


def test_a_row_that_does_not_exist_is_an_error() -> None:
    result = CliRunner().invoke(command.app, ["--only", "no such row"])

    assert result.exit_code == 2


def test_only_the_stack_of_the_row_wanted_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    @contextmanager
    def temporary(*services: str) -> Iterator[tuple[Path, dict[str, str]]]:
        started.append(" ".join(services))
        yield Path(), {}

    monkeypatch.setattr(command.stack, "temporary", temporary)
    monkeypatch.setattr(command.latency, "measure", lambda *_: latency.Latency(1, 0.1, 0.2))
    monkeypatch.setattr(command.report, "write", lambda *_: Path("land.json"))

    result = CliRunner().invoke(command.app, ["--only", "latency"])

    assert result.exit_code == 0, result.output
    assert started == ["kafka store"]
