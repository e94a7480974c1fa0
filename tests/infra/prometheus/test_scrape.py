"""A scrape with sources that fail, hang and are busy: bounded, and nothing left out silently."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from infra.prometheus.exporter.scrape import KEPT_S, Exporter
from infra.prometheus.exporter.source import BusyError, Source, gauge, one
from ingestion.errors import StoreError


class Hands:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Told:
    """A source that does what it is told."""

    def __init__(self, name: str, does: Callable[[], list[Metric]]) -> None:
        self.name = name
        self.does = does
        self.asked = 0

    def read(self) -> Iterator[Metric]:
        self.asked += 1
        yield from self.does()


def answers(name: str, value: float = 1.0) -> Callable[[], list[Metric]]:
    return lambda: [one(f"of_{name}", "A number", value)]


def fails(error: Exception) -> Callable[[], list[Metric]]:
    def raised() -> list[Metric]:
        raise error

    return raised


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(exporter: Exporter) -> Samples:
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for metric in exporter.collect()
        for sample in metric.samples
    }


def up(samples: Samples, source: str) -> float:
    return samples["tapehouse_scrape_source_up", (("source", source),)]


def made(sources: list[Source], clock: Hands | None = None, timeout_s: float = 5.0) -> Exporter:
    return Exporter(sources, clock or Hands(), timeout_s)


@pytest.mark.parametrize(
    "error", [StoreError("refused"), OSError("gone"), ValueError("a bug"), KeyError("x")]
)
def test_a_source_that_fails_is_a_metric_and_takes_nothing_from_the_others(
    error: Exception,
) -> None:
    found = scrape(made([Told("well", answers("well")), Told("ill", fails(error))]))
    assert (up(found, "well"), up(found, "ill")) == (1, 0)
    assert found["tapehouse_of_well", ()] == 1


def test_what_it_told_before_it_failed_is_told_no_more() -> None:
    source = Told("one", answers("one"))
    exporter = made([source])
    assert ("tapehouse_of_one", ()) in scrape(exporter)
    source.does = fails(StoreError("refused"))
    found = scrape(exporter)
    assert ("tapehouse_of_one", ()) not in found
    assert up(found, "one") == 0
    source.does = answers("one", 2.0)
    assert scrape(exporter)["tapehouse_of_one", ()] == 2.0


def test_a_source_that_hangs_is_waited_for_briefly_and_asked_once() -> None:
    released = threading.Event()

    def hangs() -> list[Metric]:
        released.wait(30)
        return answers("slow")()

    slow, quick = Told("slow", hangs), Told("quick", answers("quick"))
    exporter = made([slow, quick], timeout_s=0.3)
    try:
        for _ in range(2):
            began = time.monotonic()
            found = scrape(exporter)
            assert time.monotonic() - began < 5
            assert (up(found, "slow"), up(found, "quick")) == (0, 1)
        assert (slow.asked, quick.asked) == (1, 2)
    finally:
        released.set()
    exporter = made([slow], timeout_s=5)
    assert up(scrape(exporter), "slow") == 1


def test_a_busy_source_keeps_its_last_reading_for_a_while_and_says_so() -> None:
    clock, source = Hands(), Told("books", answers("books"))
    exporter = made([source], clock)
    scrape(exporter)
    source.does = fails(BusyError())
    clock.seconds = KEPT_S
    found = scrape(exporter)
    assert found["tapehouse_of_books", ()] == 1
    assert up(found, "books") == 0
    assert found["tapehouse_scrape_source_age_seconds", (("source", "books"),)] == KEPT_S
    clock.seconds = KEPT_S + 1
    found = scrape(exporter)
    assert ("tapehouse_of_books", ()) not in found
    assert up(found, "books") == 0


def test_a_source_that_is_busy_from_the_start_has_nothing_to_keep() -> None:
    found = scrape(made([Told("books", fails(BusyError()))]))
    assert up(found, "books") == 0
    assert ("tapehouse_scrape_source_age_seconds", (("source", "books"),)) not in found


def test_a_name_that_two_sources_tell_comes_once() -> None:
    sources = [
        Told(name, lambda name=name: [gauge("same", "A number", ("of",), [((name,), 1)])])  # type: ignore[misc]
        for name in ("a", "b")
    ]
    registry = CollectorRegistry()
    registry.register(made(list(sources)))
    text = generate_latest(registry).decode()
    assert text.count("# TYPE tapehouse_same gauge") == 1
    assert {'tapehouse_same{of="a"} 1.0', 'tapehouse_same{of="b"} 1.0'} <= set(text.splitlines())
