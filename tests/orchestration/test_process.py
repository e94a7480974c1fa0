"""Commands as tasks run them: real processes, of a module made for the case."""

import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from ingestion.settings import ROOT
from orchestration import process
from orchestration.process import Command, Done
from tests.orchestration.conftest import GRACEFUL, Make
from tests.support import wait_for

RAISES = """
    import sys
    from ingestion import errors
    try:
        raise errors.{error}("no")
    except errors.TapehouseError:
        sys.exit(1)
"""


def run(name: str, *, reports: bool = False) -> tuple[Done, list[str]]:
    lines: list[str] = []
    return Command([name], reports).run(lines.append), lines


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("WarehouseLockedError", 75),
        ("StoreUnavailableError", 75),
        ("BrokerAwayError", 75),
        ("SourceBusyError", 75),
        ("CommitConflictError", 75),
        ("BuildError", 1),
        ("SettingsError", 1),
        ("SourceError", 1),
        ("StoreError", 1),
    ],
)
def test_only_what_calls_itself_transient_is_tried_again(make: Make, error: str, code: int) -> None:
    done, _ = run(make(RAISES.format(error=error)))

    assert done.code == code
    assert done.is_transient([]) == (code == 75)


def test_an_error_that_followed_a_transient_one_decides_by_itself(make: Make) -> None:
    name = make("""
        import sys
        from ingestion import errors
        try:
            try:
                raise errors.StoreUnavailableError("away")
            except errors.StoreError as error:
                raise errors.LoadError("and so the load is void") from error
        except errors.TapehouseError:
            sys.exit(1)
    """)
    assert run(name)[0].code == 1


@pytest.mark.parametrize(
    ("ending", "code"), [("", 0), ("sys.exit(0)", 0), ("sys.exit(3)", 3), ("sys.exit('no')", 1)]
)
def test_an_exit_code_is_the_command_s(make: Make, ending: str, code: int) -> None:
    assert run(make(f"import sys\n{ending}"))[0].code == code


def test_an_unexpected_error_fails_for_good(make: Make) -> None:
    done, lines = run(make("raise RuntimeError('a bug')"))

    assert (done.code, done.is_transient([])) == (1, False)
    assert lines[-1] == done.tail.splitlines()[-1] == "RuntimeError: a bug"


def test_exit_codes_that_a_task_names_are_tried_again(make: Make) -> None:
    done, _ = run(make("import sys; sys.exit(2)"))

    assert done.is_transient([2])
    assert not done.is_transient([1])


def test_a_killed_command_is_tried_again(make: Make) -> None:
    done, _ = run(make("import os; os.kill(os.getpid(), 9)"))

    assert (done.code, done.is_transient([])) == (-9, True)


@pytest.mark.parametrize("code", [0, 1])
def test_a_command_that_ends_well_when_it_is_stopped_is_tried_again(make: Make, code: int) -> None:
    command = Command([make(GRACEFUL.format(meanwhile="", code=code))], reports=False)

    done = command.run(lambda line: command.stop() if line == "up" else None)

    assert (done.code, done.cut_short) == (code, "stopped with its task")
    assert done.is_transient([])


@pytest.mark.parametrize("code", [0, 1])
def test_a_report_of_an_interruption_is_believed_whoever_asked(make: Make, code: int) -> None:
    meanwhile = "os.kill(os.getpid(), signal.SIGTERM)"

    done, _ = run(make(GRACEFUL.format(meanwhile=meanwhile, code=code)), reports=True)

    assert (done.code, done.cut_short) == (code, "`interrupted` in its report")
    assert done.is_transient([])


def test_a_command_that_is_stopped_before_it_begins_ends_at_once(make: Make) -> None:
    command = Command([make("import time; time.sleep(60)")], reports=False)
    command.stop()

    done = command.run(lambda _: None)

    assert done.seconds < 30
    assert done.is_transient([])


@pytest.mark.parametrize("report", ['{"rows": 3}', '{"interrupted": false}'])
def test_a_command_that_ends_by_itself_is_not_cut_short(make: Make, report: str) -> None:
    name = make(f"""
        import pathlib, sys
        pathlib.Path(sys.argv[sys.argv.index("--report") + 1]).write_text({report!r})
    """)
    done, _ = run(name, reports=True)

    assert (done.code, done.cut_short, done.is_transient([])) == (0, "", False)


def test_a_report_is_had_of_a_failed_command_too(make: Make) -> None:
    name = make("""
        import pathlib, sys
        pathlib.Path(sys.argv[sys.argv.index("--report") + 1]).write_text('{"rows": 3}')
        sys.exit(1)
    """)
    done, _ = run(name, reports=True)

    assert (done.code, done.report) == (1, {"rows": 3})


CHILD = """
    import os, pathlib, signal, subprocess, sys, time
    code = "import signal, time; {ignores}print('up', flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    # It holds the pipe of this one's output too.
    holds = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path({pids!r}).write_text(f"{{child.pid}} {{holds.pid}}")
    {ending}
"""


@pytest.mark.parametrize("ignores", ["", "signal.signal(signal.SIGTERM, signal.SIG_IGN); "])
@pytest.mark.parametrize(("ending", "code"), [("os.kill(os.getpid(), 9)", -9), ("sys.exit(3)", 3)])
def test_what_a_command_started_ends_with_it(
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ignores: str,
    ending: str,
    code: int,
) -> None:
    monkeypatch.setattr(process, "_STOP_WAIT_S", 0.5)
    pids = tmp_path / "pids"

    done, _ = run(make(CHILD.format(ignores=ignores, ending=ending, pids=str(pids))))

    assert done.code == code
    assert not [pid for pid in map(int, pids.read_text().split()) if psutil.pid_exists(pid)]


def test_a_command_that_is_stopped_takes_all_with_it(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_STOP_WAIT_S", 0.5)
    pids = tmp_path / "pids"
    ignores = "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    name = make(CHILD.format(ignores=ignores, ending="time.sleep(600)", pids=str(pids)))
    command = Command([name], reports=False)
    running = threading.Thread(target=command.run, args=(lambda _: None,))
    running.start()
    wait_for(lambda: pids.is_file() and pids.read_text())

    command.stop()
    running.join(20)

    assert not running.is_alive()
    assert not [pid for pid in map(int, pids.read_text().split()) if psutil.pid_exists(pid)]


def test_a_command_ends_with_whoever_ran_it(make: Make, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    name = make(f"""
        import os, pathlib, time
        pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))
        time.sleep(600)
    """)
    code = f"from orchestration.process import Command; Command([{name!r}], False).run(print)"
    owner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    wait_for(lambda: pid.is_file() and pid.read_text())
    command = psutil.Process(int(pid.read_text()))

    owner.kill()
    owner.wait()

    assert command.wait(10) is not None or not command.is_running()
