import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from ingestion.errors import SourceBusyError, SourceError
from ingestion.sources.progress import Covered, Progress

START, END = date(2025, 1, 2), date(2025, 12, 31)
YEAR = Covered(START, END, ("2025-06-10 4",))


def test_a_symbol_is_done_when_all_its_records_are_confirmed(tmp_path: Path) -> None:
    with Progress(tmp_path, "yahoo-1d") as progress:
        progress.begin(START, END)
        progress.hand_out("AAPL", YEAR, last=10)
        progress.hand_out("MSFT", Covered(START, END), last=20)
        progress.settle(9)
        assert not progress.is_done("AAPL")
        progress.settle(19)
        assert progress.is_done("AAPL") and not progress.is_done("MSFT")
    with Progress(tmp_path, "yahoo-1d") as progress:
        progress.begin(START, END)
        assert progress.is_done("AAPL") and not progress.is_done("MSFT")
        assert progress.covered("AAPL") == YEAR
        assert progress.covered("MSFT") is None


def test_a_fetch_that_reached_its_end_is_not_gone_on_with(tmp_path: Path) -> None:
    with Progress(tmp_path, "yahoo-1d") as progress:
        progress.begin(START, END)
        progress.hand_out("AAPL", YEAR, last=10)
        progress.end()
        progress.settle(9)
        assert not progress.is_done("AAPL")
        progress.settle(10)
        progress.begin(START, END)
        assert not progress.is_done("AAPL")
        assert progress.covered("AAPL") == YEAR


def test_an_end_that_is_not_confirmed_is_none(tmp_path: Path) -> None:
    with Progress(tmp_path, "yahoo-1d") as progress:
        progress.begin(START, END)
        progress.hand_out("AAPL", YEAR, last=10)
        progress.settle(10)
        progress.hand_out("MSFT", YEAR, last=20)
        progress.end()
        progress.settle(15)
    with Progress(tmp_path, "yahoo-1d") as progress:
        progress.begin(START, END)
        assert progress.is_done("AAPL") and not progress.is_done("MSFT")


def test_what_an_earlier_fetch_of_the_run_handed_out_is_not_settled_by_this_ones_numbers(
    tmp_path: Path,
) -> None:
    with Progress(tmp_path, "yahoo-1d") as progress:
        progress.begin(START, END)
        progress.hand_out("AAPL", YEAR, last=10)
        progress.begin(START, END)
        progress.settle(10)  # of this fetch's own records

        assert not progress.is_done("AAPL")
        assert progress.covered("AAPL") is None


def test_another_range_is_another_fetch(tmp_path: Path) -> None:
    with Progress(tmp_path, "yahoo-1d") as progress:
        progress.begin(START, END)
        progress.hand_out("AAPL", YEAR, last=1)
        progress.settle(1)
        progress.begin(START, date(2026, 1, 2))
        assert not progress.is_done("AAPL")


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ingestion.sources.progress import Progress\n"
        "with Progress(Path(sys.argv[1]), 'yahoo-1d'): print('in', flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        with (
            pytest.raises(SourceBusyError, match="another process") as busy,
            Progress(tmp_path, "yahoo-1d"),
        ):
            pass
        assert busy.value.transient
        with Progress(tmp_path, "yahoo-1m"):
            pass
        other.communicate("\n")
    with Progress(tmp_path, "yahoo-1d"):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"symbols":{"AAPL":{"start":"x"}}}'])
def test_a_damaged_file_is_told_and_the_lock_given_back(tmp_path: Path, text: str) -> None:
    path = tmp_path / "yahoo-1d.json"
    path.write_text(text)
    with pytest.raises(SourceError, match=r"yahoo-1d\.json"), Progress(tmp_path, "yahoo-1d"):
        pass
    path.unlink()
    with Progress(tmp_path, "yahoo-1d"):
        pass


def test_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "yahoo-1d.json").write_text('{"version":2}')
    with (
        pytest.raises(SourceError, match="expected version 1, found 2"),
        Progress(tmp_path, "yahoo-1d"),
    ):
        pass


def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    code = """
import sys
from datetime import date
from pathlib import Path
from ingestion.sources.progress import Covered, Progress
day = date(2025, 1, 2)
with Progress(Path(sys.argv[1]), "yahoo-1d") as progress:
    progress.begin(day, day)
    for number in range(1, 100_000):
        progress.hand_out(f"S{number}", Covered(day, day), number)
        progress.settle(number)
        print(number, flush=True)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(0.2)
            os.kill(writer.pid, signal.SIGKILL)
            told = writer.stdout.read().split()
        with Progress(tmp_path, "yahoo-1d") as progress:
            progress.begin(date(2025, 1, 2), date(2025, 1, 2))
            assert all(progress.is_done(f"S{number}") for number in told)
    assert len(list(tmp_path.iterdir())) <= 3, "each kill left a draft behind"
