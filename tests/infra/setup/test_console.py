import sys
from pathlib import Path

import pytest

from infra.setup.console import Console, SetupError


def test_a_failed_command_shows_its_last_lines_and_names_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log" / "mvn.log"
    script = (
        "import sys; [print('line', n) for n in range(50)]; print('BUILD FAILURE'); sys.exit(3)"
    )

    with pytest.raises(SetupError) as failure:
        Console(6).run([sys.executable, "-c", script], log)

    text = str(failure.value)
    assert "exit code 3" in text
    assert str(log) in text
    assert "BUILD FAILURE" in text
    assert "line 49" in text
    assert "line 5\n" not in text
    assert "line 5\n" in log.read_text()


def test_a_long_command_gives_signs_of_life(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "import sys, time; time.sleep(0.4)"

    Console(6).run([sys.executable, "-c", script], tmp_path / "log", heartbeat_s=0.1)

    assert "is at work" in capsys.readouterr().out


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot run no-such-tool"):
        Console(6).run(["no-such-tool"], tmp_path / "log")


def test_quiet_shows_work_only(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(2, quiet=True)
    console.next()
    console.done_already("first")
    console.next()
    with console.working("second"):
        pass

    out = capsys.readouterr().out
    assert "first" not in out
    assert out.count("[2/2] second") == 2
