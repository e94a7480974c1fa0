"""The run's lock: given back however a run ends."""

import stat
from pathlib import Path

import pytest

from ingestion.settings import ProjectSettings
from pipeline.lock import RunInProgressError, alone


def test_the_lock_is_given_back_also_by_a_run_that_fails(state: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone(ProjectSettings.load()):
        raise ZeroDivisionError

    with alone(ProjectSettings.load()):
        assert (state / "run" / "pipeline.lock").is_file()


def test_a_second_run_of_the_same_process_is_refused_too(state: Path) -> None:
    with alone(ProjectSettings.load()):
        with pytest.raises(RunInProgressError, match="holds"), alone(ProjectSettings.load()):
            pytest.fail("two runs at once")
        assert (state / "run" / "pipeline.lock").read_text(), (
            "the refused one left the holder's name"
        )


def test_the_folder_with_the_lock_is_ours_alone(state: Path) -> None:
    """It is the stack's run folder, which gets secrets; the stack may come later than the lock."""
    with alone(ProjectSettings.load()):
        assert stat.S_IMODE((state / "run").stat().st_mode) == 0o700
