"""Spark's and Java's failures as one readable line of ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from ingestion.errors import LakeError, StoreError, StoreUnavailableError

_UNREACHABLE: Final = (
    "ConnectException",
    "UnknownHostException",
    "ConnectTimeoutException",
    "SocketTimeoutException",
    "AWSNoIOException",
    "Unable to execute HTTP request",
)
_REFUSED: Final = ("AWSBadRequestException", "AccessDeniedException", "Status Code: 403")
# A Python worker's trace ends in the first line that is not indented.
_PYTHON: Final = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)*(\S.*)", re.M)
_LINE: Final = 300


@contextmanager
def translated() -> Iterator[None]:
    """Raise what Spark or Java raise as a ``LakeError`` or ``StoreError`` on one line.

    Raises:
        StoreUnavailableError: the store does not answer.
        StoreError: the store refuses.
        LakeError: anything else that failed in Spark.
    """
    try:
        yield
    except (Py4JError, PySparkException) as error:
        raise _ours(str(error)) from error


def _ours(text: str) -> LakeError | StoreError:
    if any(sign in text for sign in _UNREACHABLE):
        return StoreUnavailableError(f"the store or the catalog does not answer: {_cause(text)}")
    if any(sign in text for sign in _REFUSED):
        return StoreError(f"the store refuses the role `lake`: {_cause(text)}")
    return LakeError(_cause(text))


def _cause(text: str) -> str:
    """Return the innermost cause that a trace of Python's or Java's names, or its first line."""
    if python := _PYTHON.findall(text):
        return str(python[-1])[:_LINE]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    found = causes[-1].removeprefix("Caused by: ") if causes else " ".join(lines[:2])
    return found[:_LINE]
