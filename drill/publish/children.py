"""Processes that can be killed: forks of this one, which itself never opens a database.

A fork costs milliseconds where a new interpreter costs half a second, and there are hundreds. It is
safe for as long as the parent has no threads: DuckDB starts some with the first connection.
"""

import os
import traceback
from collections.abc import Callable


def start(act: Callable[[], None]) -> int:
    """Do something in a process of its own, and return the process's id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        act()
        code = 0
    except Exception:  # raised further, the fork would go on as its parent; its exit code 1 tells
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(process: int) -> int:
    """Wait for a process; return its exit code, or the negative number of what killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def run(act: Callable[[], None]) -> int:
    """Do something in a process of its own and wait for it; return as ``ended`` does."""
    return ended(start(act))
