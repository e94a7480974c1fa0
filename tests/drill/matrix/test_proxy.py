"""The fault proxy before a real MinIO: each fault, its proof, and what the store then holds."""

import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from drill.matrix.proxy import client
from drill.matrix.proxy.client import FaultProxy
from drill.matrix.proxy.rules import Action, Rule, RuleBook
from infra.local import scratch
from ingestion.errors import StackError, StoreError, StoreUnavailableError
from ingestion.land import objects
from ingestion.land.protocol import Kind, Partition, PutOutcome
from ingestion.land.store import BronzeStore, connect
from ingestion.settings import StoreSettings
from tests.conftest import RunningStack
from tests.drill.matrix.helpers import in_folder
from tests.ingestion.land.world import chunk

BODY, HEAD = objects.build(0, 2, Kind.DATA, (chunk(0, 1),))
QUICK_S = 0.5  # how long the client of a test waits for an answer
LANDED, EXISTS, CONFLICT = PutOutcome.LANDED, PutOutcome.EXISTS, PutOutcome.CONFLICT
UNKNOWN, REFUSED = PutOutcome.UNKNOWN, PutOutcome.REFUSED


@pytest.fixture(scope="module")
def proxy(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    started = start_proxy(tmp_path_factory.mktemp("proxy"), stack.layout.store.port)
    yield started
    started.stop()


def start_proxy(folder: Path, store_port: int) -> FaultProxy:
    listen, control = scratch.choose_ports(2)
    processes = partial(in_folder, folder)
    return client.start(processes, store_port, (listen, control), folder / "faults.jsonl")


class Bronze:
    """A chain of its own in the bucket, written through the proxy, looked at past it."""

    def __init__(self, proxy: FaultProxy) -> None:
        settings = StoreSettings.load()
        through = settings.model_copy(update={"endpoint": f"http://127.0.0.1:{proxy.port}"})
        self._through = BronzeStore(
            connect(through, "lander", read_timeout_s=QUICK_S), settings.bronze_bucket
        )
        self._past = BronzeStore(connect(settings, "lander"), settings.bronze_bucket)
        self._place = Partition("drill-proxy", 0), uuid.uuid4().hex

    def put(self) -> PutOutcome:
        return self._through.put(objects.key(*self._place, 0), BODY, HEAD)[0]

    def look(self) -> bool:
        return self._through.get(*self._place, 0) is not None

    def holds(self) -> bool:
        """Tell whether the store itself holds the object, whole."""
        found = self._past.get(*self._place, 0)
        assert found in (None, (HEAD, BODY))
        return found is not None


@pytest.fixture
def bronze(proxy: FaultProxy) -> Iterator[Bronze]:
    yield Bronze(proxy)
    proxy.heal()


@pytest.mark.parametrize(
    ("rule", "outcome", "is_there", "store"),
    [
        (Rule("slow-down", Action.ANSWER, status=503), UNKNOWN, False, {}),
        (Rule("lost-ack", Action.APPLY_ANSWER, status=500), UNKNOWN, True, {"200": 1}),
        (Rule("reset", Action.APPLY_RESET), UNKNOWN, True, {"200": 1}),
        (Rule("swallowed", Action.SWALLOW), UNKNOWN, False, {}),
        (Rule("half-open", Action.APPLY_SWALLOW), UNKNOWN, True, {"200": 1}),
        (Rule("late", Action.DELAY_BEFORE, seconds=(0.1, 0.2)), LANDED, True, {"200": 1}),
        (Rule("truncated", Action.TRUNCATE), UNKNOWN, False, {}),
        (Rule("corrupt", Action.CORRUPT), UNKNOWN, False, {"400": 1}),
        (Rule("wrong-checksum", Action.WRONG_CHECKSUM), UNKNOWN, False, {"400": 1}),
        (Rule("conflict", Action.ANSWER, status=409), CONFLICT, False, {}),
        (Rule("own-retry", Action.APPLY_REPEAT), EXISTS, True, {"200": 1, "412": 1}),
        (Rule("forbidden", Action.ANSWER, status=403), REFUSED, False, {}),
    ],
    ids=lambda value: value.name if isinstance(value, Rule) else "",
)
@pytest.mark.integration
@pytest.mark.timeout(120)
def test_each_fault_is_done_counted_and_leaves_the_object_whole_or_absent(
    proxy: FaultProxy,
    bronze: Bronze,
    rule: Rule,
    outcome: PutOutcome,
    is_there: bool,
    store: dict[str, int],
) -> None:
    proxy.inject(rule)

    assert bronze.put() is outcome
    assert bronze.holds() is is_there
    found = proxy.report()
    assert found.done(rule.name) == 1
    assert found.store(rule.name) == store


@pytest.mark.integration
def test_without_rules_a_signed_request_passes_as_it_was_sent(
    proxy: FaultProxy, bronze: Bronze
) -> None:
    assert bronze.put() is LANDED
    assert bronze.put() is EXISTS
    assert bronze.look()
    assert bronze.holds()
    assert proxy.report().requests == 3


@pytest.mark.integration
def test_a_rule_is_for_its_method_and_prefix_and_ends_with_its_count(
    proxy: FaultProxy, bronze: Bronze
) -> None:
    proxy.inject(
        Rule("other", Action.ANSWER, prefix="/lake/"),
        Rule("once", Action.ANSWER, method="PUT", prefix="/bronze/drill-proxy/", count=1),
    )

    assert not bronze.look()
    assert bronze.put() is UNKNOWN
    assert bronze.put() is LANDED
    done = proxy.heal()
    assert (done.done("other"), done.done("once")) == (0, 1)
    assert proxy.report().tallies == {}


@pytest.mark.integration
def test_a_store_that_is_away_resets_the_connection(tmp_path: Path, stack: RunningStack) -> None:
    (closed,) = scratch.choose_ports(1)
    proxy = start_proxy(tmp_path, closed)
    try:
        assert Bronze(proxy).put() is UNKNOWN
        with pytest.raises(StoreUnavailableError):
            Bronze(proxy).look()
    finally:
        proxy.stop()


@pytest.mark.integration
def test_refusals_are_told_as_they_are_and_not_repeated(proxy: FaultProxy, bronze: Bronze) -> None:
    proxy.inject(Rule("expired", Action.ANSWER, method="GET", status=403))

    with pytest.raises(StoreError, match="refuses"):
        bronze.look()
    assert proxy.report().done("expired") == 1


@pytest.mark.integration
def test_a_malformed_rule_is_an_error_and_leaves_the_others_in_force(
    proxy: FaultProxy, bronze: Bronze
) -> None:
    proxy.inject(Rule("stays", Action.ANSWER))

    with pytest.raises(StackError, match="refuses the order"):
        proxy.inject(Rule("bad", "no-such-action"))  # type: ignore[arg-type]
    assert set(proxy.report().tallies) == {"stays"}


def test_a_probability_is_drawn_from_the_rule_s_own_seed() -> None:
    def drawn(seed: int) -> list[bool]:
        book = RuleBook([Rule("some", Action.ANSWER, probability=0.3, seed=seed)])
        return [book.choose("PUT", "/bronze/x") is not None for _ in range(1_000)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 250 < sum(drawn(1)) < 350


def test_a_proxy_that_cannot_listen_says_why(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="did not start"):
        client.start(partial(in_folder, tmp_path), 1, (99_999, 99_998), tmp_path / "faults.jsonl")


def test_the_moment_of_a_fault_is_within_its_bounds() -> None:
    book = RuleBook([Rule("slow", Action.DELAY_BEFORE, seconds=(2.0, 30.0))])
    found = [fault.seconds for _ in range(100) if (fault := book.choose("PUT", "/"))]

    assert 2.0 <= min(found) < 5 < 27 < max(found) <= 30.0
