"""The drill of publishing, shortened, and its judge on courses that are wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drill.publish import judge, race
from drill.publish.race import Course
from drill.publish.readers import Told
from ingestion.errors import BuildError
from ingestion.settings import ROOT


@pytest.mark.long
def test_readers_see_whole_builds_while_publishers_fail_and_die(tmp_path: Path) -> None:
    (tmp_path / "env").write_text(f"TAPEHOUSE_STATE_DIR={tmp_path}\n")
    report = tmp_path / "report.json"
    played = subprocess.run(
        [sys.executable, "-m", "drill", "publish", "--publishes", "12", "--failing", "4",
         "--stride", "4", "--report", str(report)],
        cwd=ROOT,
        env=os.environ | {"TAPEHOUSE_ENV_FILE": str(tmp_path / "env")},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip

    assert played.returncode == 0, played.stdout + played.stderr
    found = json.loads(report.read_text())
    assert found["failed"] == 2
    assert found["published"] + found["killed"] == 10
    assert all(reads > 10 for reads in found["reads"].values()), found["reads"]
    assert len(found["sweeps"]) == 7
    assert found["slowest_s"] < judge.SEEN_WITHIN_S


def course(*sights: tuple[float, int], **changes: object) -> Course:
    """Return a course of builds 1 and 3, with 2 failed, that a reader saw so."""
    told = Told("a reader", reads=9, sights=list(sights))
    facts: dict[str, object] = {
        "published": {1: 10.0, 3: 30.0},
        "failed": [2],
        "in_books": [3, 1, 0],
        "rolled_back_to": 1,
        "rolled_back_at": 50.0,
        "told": [told],
    }
    return Course(**(facts | changes))  # type: ignore[arg-type]


GOOD = ((1.0, 0), (10.1, 1), (31.0, 3), (50.5, 1))


def test_a_reader_that_saw_each_build_in_turn_is_right() -> None:
    assert judge.wrong(course(*GOOD)) == []
    assert judge.slowest_s(course(*GOOD)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("sights", "complaint"),
    [
        (((1.0, 0), (10.1, 1), (20.0, 2), (31.0, 3), (50.5, 1)), "saw 2, not published"),
        (((1.0, 0), (10.1, 1), (31.0, 3), (32.0, 1), (33.0, 3), (50.5, 1)), "went back"),
        (((1.0, 0), (10.1, 1), (36.0, 3), (50.5, 1)), "build 3 was seen after 6.0 s"),
        (((1.0, 0), (10.1, 1), (50.5, 1)), "build 3 was seen never"),
        (((1.0, 0), (10.1, 1), (31.0, 3)), "the rollback was seen"),
        (((1.0, 0), (10.1, 1), (31.0, 3), (56.0, 1)), "the rollback was seen after 6.0 s"),
        (((31.0, 3), (50.5, 1)), "saw 1 builds"),
    ],
)
def test_the_judge_finds(sights: tuple[tuple[float, int], ...], complaint: str) -> None:
    assert complaint in "; ".join(judge.wrong(course(*sights)))


def test_a_problem_of_a_reader_is_told() -> None:
    told = Told("a reader", sights=list(GOOD), problems=["a mixture"])

    assert judge.wrong(course(told=[told])) == ["a reader: a mixture"]


def test_failing_builds_are_spread_over_the_course() -> None:
    found = race.fates(50, 10)

    assert [found[0], found[-1]] == ["published"] * 2
    assert (found.count("killed"), found.count("fails a test")) == (5, 5)
    with pytest.raises(BuildError, match="expected fewer failing builds"):
        race.fates(5, 4)
