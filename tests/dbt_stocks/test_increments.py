"""Whatever comes late, the increments hold what a build of everything at once would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingestion.settings import ROOT
from tests.dbt_stocks.random_history import MARTS

# Each takes half a minute; more of them: make test-increments.
HISTORIES = int(os.environ.get("HISTORIES", "1"))

# These histories have no vendor's adjusted close and no quote.
NEVER_GIVEN = {"close_price_vendor_adj", "quote_age_s"}


@pytest.mark.parametrize("seed", range(1, HISTORIES + 1))
def test_increments_with_late_corrections_equal_a_full_refresh(seed: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.dbt_stocks.random_history", str(tmp_path), str(seed)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for mart in MARTS:
        different = found["different"][mart]
        assert different == [], f"{len(different)} values differ: {different[:3]}"
        assert set(found["empty"][mart]) <= NEVER_GIVEN, mart
