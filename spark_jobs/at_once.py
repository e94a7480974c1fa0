"""Jobs that do not need each other, at once in one session.

While one job is planned, the other's tasks run: on two cores neither keeps the session busy.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from spark_jobs.report import Told

_LINE: Final = 300

_log = structlog.get_logger(component="jobs")


def run(jobs: Sequence[Callable[[], Told]]) -> Iterator[Told]:
    """Run jobs, each in a thread of its own; yield in their order what those that succeeded tell.

    Raises:
        TapehouseError: one failed; the first one's failure, when all have ended. The others' are
            logged.
    """
    with ThreadPoolExecutor(max(1, len(jobs)), "job") as pool:
        ended = [pool.submit(job) for job in jobs]
    for other in [one.exception() for one in ended if one.exception() is not None][1:]:
        _log.error("job_failed_too", error=str(other)[:_LINE])
    for one in sorted(ended, key=lambda one: one.exception() is not None):
        yield one.result()
