"""Run a command of ours as the shell would, and tell by the exit code whether to try again.

``python -m orchestration.run ingestion load`` is ``python -m ingestion load``, with two things that
an orchestrator needs: exit code 75 (EX_TEMPFAIL) where the error that ended the command calls
itself transient, and an end of the command when whoever started it has died.
"""

import os
import runpy
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from ingestion.errors import TapehouseError

TRY_AGAIN: Final = 75


def main(words: Sequence[str]) -> int:
    """Run a module with its arguments; return its exit code, or 75 for what is transient.

    Commands end an expected error by ``sys.exit`` in its handler, so that error is the context of
    the exit.
    """
    module, *arguments = words
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as left:
        code = _code(left)
        return TRY_AGAIN if code and is_transient(left) else code
    return 0


def is_transient(error: BaseException) -> bool:
    """Tell whether what led to an error is one of ours that the same call may outlive."""
    ours = [one for one in _causes(error) if isinstance(one, TapehouseError)]
    return bool(ours) and ours[0].transient


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised in the handling of, the latest first."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _code(left: SystemExit) -> int:
    if left.code is None:
        return 0
    return left.code if isinstance(left.code, int) else 1


def follow_parent() -> None:
    """End as on SIGTERM when standard input ends: whoever held its other end is gone."""
    threading.Thread(target=_wait_for_end, name="follow-parent", daemon=True).start()


def _wait_for_end() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    follow_parent()
    sys.exit(main(sys.argv[1:]))
