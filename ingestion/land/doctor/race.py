"""Many writers, one free key: a store with create-only PUT has exactly one winner.

Racers have a connection each, as threads of this process or of several. In every second round all
of them have sent everything but the last byte before any sends that: a store that looks at the key
when a request begins is then all but certain to let several through.
"""

import http.client
import multiprocessing
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from ingestion.errors import ProbeError, StoreUnavailableError
from ingestion.land import objects
from ingestion.land.doctor import versions
from ingestion.land.doctor.findings import Result, ok, skipped
from ingestion.land.doctor.site import GENERATION, Site, built, put_headers
from ingestion.land.doctor.wire import NO_ANSWER, UNDECIDED, Request, Wire, begin, finish
from ingestion.land.protocol import Head, Partition

_WAIT_S: Final = 60.0  # for the slowest racer, or a process to start
_LARGE_EVERY: Final = 5
_SMALL_BYTES: Final = 1_000
_LARGE_BYTES: Final = 200_000  # MinIO keeps what is below 128 KiB elsewhere than what is above
_REFUSED: Final = frozenset({409, 412})


@dataclass(frozen=True)
class Course:
    """What the racers of one race run on."""

    wire: Wire
    bucket: str
    series: Partition
    rounds: int


def race(site: Site, bucket: str, number: int, processes: int) -> Result:
    """Let racers in some processes race for keys of a series.

    Raises:
        ProbeError: a round had not exactly one winner, or not the winner's object.
        StoreUnavailableError: too few rounds were decided.
    """
    if bucket == site.versioned and not site.has_policies:
        return skipped("the store has no versions")
    plan = site.plan
    course = Course(site.wire, bucket, site.series(number), plan.rounds)
    statuses = _run(course, plan.racers, processes)
    faults, decided = [], 0
    for round_, ended in enumerate(zip(*statuses, strict=True)):
        fault = _judge(site, bucket, number, round_, ended)
        decided += not set(ended) & UNDECIDED
        faults += [fault] if fault else []
    if faults:
        raise ProbeError(f"{len(faults)} of {plan.rounds} rounds broke the fence: {faults[0]}")
    if 2 * decided < plan.rounds:
        raise StoreUnavailableError(
            f"the store does not answer: {decided} of {plan.rounds} rounds of a race were decided"
        )
    versions.require_single(site, bucket, number)
    return ok(f"{decided} of {plan.rounds} rounds x {plan.racers} racers: one winner each")


def _judge(
    site: Site, bucket: str, number: int, round_: int, statuses: Sequence[int]
) -> str | None:
    """Return what is wrong with how a round ended."""
    winners = [racer for racer, status in enumerate(statuses) if status == 200]
    unknown = [racer for racer, status in enumerate(statuses) if status in UNDECIDED]
    others = set(statuses) - {200} - _REFUSED - UNDECIDED
    if others:
        return f"round {round_}: expected status 200, 409 or 412, found {sorted(others)}"
    if len(winners) > 1:
        return f"round {round_}: {len(winners)} of {len(statuses)} writers were told that they won"
    if not winners and not unknown:
        return f"round {round_}: no writer won a free key"
    if not winners and not site.has(bucket, site.key(number, round_)):
        return None
    stored, _ = site.got(bucket, number, round_)
    possible = winners or unknown
    if stored.sha256 not in {_entry(round_, racer)[1].sha256 for racer in possible}:
        return f"round {round_}: the object is not the one of the writer who won"
    return None


def _run(course: Course, racers: int, processes: int) -> list[list[int]]:
    """Return the statuses of each racer, round by round."""
    if processes == 1:
        return _crew(course, range(racers), threading.Barrier(racers))
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(racers)
    bounds = [racers * crew // processes for crew in range(processes + 1)]
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=_share, initargs=(barrier,)
    ) as pool:
        crews = map(range, bounds, bounds[1:])
        results = list(pool.map(_crew_of_process, [course] * processes, crews))
    return [statuses for crew in results for statuses in crew]


class _Shared:
    """What a racing process was given at its start."""

    barrier: threading.Barrier


def _share(barrier: threading.Barrier) -> None:
    _Shared.barrier = barrier


def _crew_of_process(course: Course, racers: range) -> list[list[int]]:
    return _crew(course, racers, _Shared.barrier)


def _crew(course: Course, racers: range, barrier: threading.Barrier) -> list[list[int]]:
    with ThreadPoolExecutor(len(racers)) as pool:
        return list(pool.map(lambda racer: _racer(course, racer, barrier), racers))


def _racer(course: Course, racer: int, barrier: threading.Barrier) -> list[int]:
    try:
        return [_put(course, round_, racer, barrier) for round_ in range(course.rounds)]
    except BaseException:
        barrier.abort()  # or the others wait for one who will not come
        raise


def _put(course: Course, round_: int, racer: int, barrier: threading.Barrier) -> int:
    """Take part in one round; return the status, or `NO_ANSWER`."""
    body, head = _entry(round_, racer)
    key = objects.key(course.series, GENERATION, round_)
    request = course.wire.signed("PUT", course.bucket, key, body, put_headers(head))
    connection = course.wire.connection()
    try:
        _start(connection, request, body[:-1], barrier, is_held=round_ % 2 == 0)
        connection.send(body[-1:])
        return finish(connection).status
    except (OSError, http.client.HTTPException):
        return NO_ANSWER
    finally:
        connection.close()


def _start(
    connection: http.client.HTTPConnection,
    request: Request,
    body: bytes,
    barrier: threading.Barrier,
    is_held: bool,
) -> None:
    try:
        connection.connect()
        if is_held:
            begin(connection, request, body)
    finally:
        barrier.wait(_WAIT_S)
    if not is_held:
        begin(connection, request, body)


def _entry(round_: int, racer: int) -> tuple[bytes, Head]:
    size = _LARGE_BYTES if round_ % _LARGE_EVERY == 0 else _SMALL_BYTES
    return built(round_, f"{round_}-{racer}", size)
