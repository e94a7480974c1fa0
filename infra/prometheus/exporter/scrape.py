"""One scrape: every source at once, none waited for beyond the limit, none left out silently."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from infra.prometheus.exporter.source import BusyError, Source, gauge
from ingestion import logs
from ingestion.clock import Clock

# A build keeps the warehouse for minutes. What was read before it may stand in for so long, with
# the source told as down; then its metrics end.
KEPT_S: Final = 900.0

_log = logs.get("exporter")


@dataclass(frozen=True)
class _Answer:
    """What a source gave, when and how long that took; ``is_busy`` where it is being written."""

    metrics: tuple[Metric, ...] | None
    at: float
    seconds: float
    is_busy: bool = False


@dataclass
class _Asked:
    """A source, the question under way, and what it told last."""

    source: Source
    pending: "Future[_Answer] | None" = None
    metrics: tuple[Metric, ...] = ()
    read_at: float | None = None
    seconds: float | None = None
    is_up: bool = False
    problem: str = field(default="", repr=False)


class Exporter(Collector):
    """Asks the sources, each in a thread of its own, and tells which did not answer."""

    def __init__(self, sources: Sequence[Source], clock: Clock, timeout_s: float) -> None:
        self._asked = [_Asked(source) for source in sources]
        self._clock = clock
        self._timeout_s = timeout_s
        self._pool = ThreadPoolExecutor(len(sources), thread_name_prefix="source")
        self._one_at_a_time = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """Return every source's metrics, and how the sources themselves are."""
        with self._one_at_a_time:  # two scrapes at once: the second one gets answers of its own
            self._ask()
            return iter([*_merged(m for one in self._asked for m in one.metrics), *self._own()])

    def _ask(self) -> None:
        for one in self._asked:
            # One that hangs keeps its thread and is not asked again meanwhile.
            if one.pending is None:
                one.pending = self._pool.submit(self._read, one)
        waiting = [one.pending for one in self._asked if one.pending is not None]
        wait_for(waiting, self._timeout_s)
        for one in self._asked:
            self._take(one)

    def _take(self, one: _Asked) -> None:
        assert one.pending is not None  # noqa: S101 - `_ask` has just made it
        if not one.pending.done():
            one.is_up, one.metrics, one.seconds = False, (), None
            self._tell(one, f"no answer within {self._timeout_s:g} s")
            return
        answer, one.pending = one.pending.result(), None
        one.is_up, one.seconds = answer.metrics is not None, answer.seconds
        now = self._clock.monotonic()
        if answer.metrics is not None:
            one.metrics, one.read_at, one.problem = answer.metrics, answer.at, ""
        elif not (answer.is_busy and one.read_at is not None and now - one.read_at <= KEPT_S):
            one.metrics = ()

    def _read(self, one: _Asked) -> _Answer:
        began = self._clock.monotonic()
        metrics, is_busy = None, False
        try:
            metrics = tuple(one.source.read())
        except BusyError:
            is_busy = True
        # Whatever goes wrong with one source must not take the others' metrics: it is told below,
        # as a metric and, once, in the log.
        except Exception as error:
            self._tell(one, f"{type(error).__name__}: {error}")
        ended = self._clock.monotonic()
        return _Answer(metrics, ended, ended - began, is_busy)

    def _tell(self, one: _Asked, problem: str) -> None:
        if problem != one.problem:
            one.problem = problem
            _log.warning("source_down", source=one.source.name, problem=problem)

    def _own(self) -> Iterator[Metric]:
        now = self._clock.monotonic()
        yield gauge(
            "scrape_source_up",
            "1 where a source was read; 0: it has no metrics here, or those of its last reading",
            ("source",),
            [((one.source.name,), one.is_up) for one in self._asked],
        )
        yield gauge(
            "scrape_source_duration_seconds",
            "How long the source took, be it to fail; none where it did not answer in time",
            ("source",),
            [((o.source.name,), o.seconds) for o in self._asked if o.seconds is not None],
        )
        yield gauge(
            "scrape_source_age_seconds",
            "Time since the source's metrics were read; none where it was never read",
            ("source",),
            [((o.source.name,), now - o.read_at) for o in self._asked if o.read_at is not None],
        )


def _merged(metrics: Iterable[Metric]) -> Iterator[Metric]:
    """Put what several sources tell under one name together: a name comes once in a scrape."""
    found: dict[str, Metric] = {}
    for metric in metrics:
        known = found.setdefault(
            metric.name, Metric(metric.name, metric.documentation, metric.type)
        )
        known.samples.extend(metric.samples)
    yield from found.values()
