"""Commands in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

from ingestion.settings import ROOT


def run(
    *arguments: str, cwd: Path = ROOT, fails: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    found = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode != 0) == fails, found.stdout + found.stderr
    return found
