import json
import re
from pathlib import Path

from typer.testing import CliRunner, Result

from drill.__main__ import app


def simulate(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["simulate", *arguments])


def test_clean_seeds_exit_0_and_tell_their_rate_and_what_happened(tmp_path: Path) -> None:
    report = tmp_path / "report.json"

    result = simulate("--seeds", "60", "--jobs", "2", "--report", str(report))

    assert result.exit_code == 0, result.output
    assert re.search(r"60 seeds in .* seeds/s .*: every invariant held", result.output)
    assert "PUTs of zombies" in result.output
    found = json.loads(report.read_text())
    assert found["seeds"] == 60
    assert found["violation"] is None
    assert found["counts"]["crashes"] > 0


def test_a_violation_exits_1_with_its_trace_its_faults_and_how_to_see_it_again() -> None:
    result = simulate("--seeds", "1000", "--jobs", "1", "--break", "end-in-key")

    assert result.exit_code == 1
    seed = re.search(r"Reproduce: python -m drill simulate (--seed \d+ --.*)", result.output)
    assert seed is not None
    left, all_ = map(int, re.findall(r"It needs (\d+) of its (\d+) faults", result.output)[0])
    assert 0 < left < all_
    again = simulate(*seed[1].split())
    assert again.exit_code == 1
    assert "VIOLATION I2" in again.output
    assert "store: PUT" in again.output


def test_a_seed_alone_tells_its_trace() -> None:
    result = simulate("--seed", "3")

    assert result.exit_code == 0
    assert "seed 3: every invariant held" in result.output
    assert "L0 <- Assigned" in result.output


def test_an_unknown_rule_is_refused() -> None:
    result = simulate("--break", "nothing")

    assert result.exit_code == 2
    assert "expected one of" in result.output
