"""The machine's own tools: ``ip``, ``tc``, ``mount`` and the like."""

import subprocess

from ingestion.errors import StackError


def run(*command: str) -> str:
    """Return what a tool prints.

    Raises:
        StackError: it failed; the text has what it said.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
