"""Jobs that do not need each other, at once in one session.

While one job is planned, the other's tasks run: on two cores neither keeps the session busy.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from spark_jobs.report import Told


def run(jobs: Sequence[Callable[[], Told]]) -> Iterator[Told]:
    """Run jobs, each in a thread of its own; yield in their order what those that succeeded tell.

    Raises:
        TapehouseError: one failed; the first one's failure, when all have ended.
    """
    with ThreadPoolExecutor(max(1, len(jobs)), "job") as pool:
        ended = [pool.submit(job) for job in jobs]
    for one in sorted(ended, key=lambda one: one.exception() is not None):
        yield one.result()
