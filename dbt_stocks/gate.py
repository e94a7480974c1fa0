"""Write, audit, publish: marts are built beside gold, tested with the whole project, then shown."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from dbt_stocks import books, catalog, comparison, engine, runner, scorecard, state
from dbt_stocks.books import Outcome
from dbt_stocks.engine import Gold
from dbt_stocks.place import Place, Say
from dbt_stocks.runner import Dbt, Invocation, NodeResult
from ingestion.clock import Clock
from ingestion.errors import BuildError, TapehouseError

# Unit tests judge the models' logic on fixtures; they belong to the tests, not to every build.
_NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
# Built again once the tests have run, so that it holds the build's own results.
_SCORECARD = ("--select", "gold_dq_scorecard")


@dataclass(frozen=True)
class Request:
    """What a gate command was asked for; ``now`` is the replay clock, UTC.

    ``accepted`` names marts of which a change against the last build is wanted. ``only_new``: of a
    project that was built, the tables that have not taken all that is loaded.
    """

    build_id: str
    select: str | None = None
    only_new: bool = False
    full_refresh: bool = False
    now: str | None = None
    accepted: tuple[str, ...] = ()


@dataclass
class Report:
    """What a gate command did; filled while it runs, and whole when it fails too."""

    build_id: str
    status: str = "running"
    reason: str | None = None
    as_of: datetime | None = None
    models: int = 0
    tests_passed: int = 0
    tests_warned: int = 0
    failures: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    rebuilt: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def build(
    request: Request,
    report: Report,
    clock: Clock,
    say: Say,
    place: Place | None = None,
) -> None:
    """Build candidate and silver, test the whole project, and publish when every test passed.

    Raises:
        BuildError: something failed; gold is what it was and ``report`` says what.
    """
    arguments = [*_NO_UNIT_TESTS, *(["--full-refresh"] if request.full_refresh else [])]
    if request.only_new or request.select is None:
        steps = [("build", arguments)]
    else:
        selected = [*arguments, "--select", request.select]
        steps = [("build", selected), ("test", list(_NO_UNIT_TESTS))]
    _Gate(request, report, clock, say, place or Place.load()).run(steps)


def publish(
    request: Request, report: Report, clock: Clock, say: Say, place: Place | None = None
) -> None:
    """Test the whole project as it stands, and publish the candidate when every test passed.

    Raises:
        BuildError: a test failed; gold is what it was and ``report`` says what.
    """
    steps = [("test", list(_NO_UNIT_TESTS))]
    _Gate(request, report, clock, say, place or Place.load()).run(steps)


def rollback(
    to: str | None, why: str, clock: Clock, say: Say, place: Place | None = None
) -> tuple[str, str]:
    """Show the build before the one that is shown, or another that was published.

    Returns: the build shown before, and the one shown now.

    Raises:
        BuildError: there is no such build, or it is not kept; gold is what it was.
    """
    place = place or Place.load()
    with place.held(say), place.warehouse.opened() as gold:
        gold.take("a rollback")
        try:
            for line in gold.heal():
                say(line)
            return gold.rollback(to, clock.now(), why)
        finally:
            gold.give_back()


def is_withdrawn(build_id: str, say: Say, place: Place | None = None) -> bool:
    """Tell whether a rollback has passed over a build.

    Raises:
        BuildError: there is no warehouse.
    """
    place = place or Place.load()
    with place.held(say), place.warehouse.opened() as gold:
        return books.status(gold.db, build_id) == "withdrawn"


class _Gate:
    """One way through the gate, under the project lock."""

    def __init__(
        self, request: Request, report: Report, clock: Clock, say: Say, place: Place
    ) -> None:
        self._request, self._report, self._clock, self._say = request, report, clock, say
        self._place = place
        self._results: list[NodeResult] = []
        variables = {
            **place.warehouse.dbt_environment(),
            "TAPEHOUSE_BUILD_ID": request.build_id,
            "TAPEHOUSE_NOW": request.now or "",
            "DBT_MODULE_PATH": str(runner.PROJECT),
        }
        self._dbt = Dbt(place.dbt, variables)

    def run(self, steps: Sequence[tuple[str, list[str]]]) -> None:
        """Take dbt's steps, judge what they made, and publish it or leave gold as it is."""
        request, report = self._request, self._report
        with self._place.held(self._say):
            with _timed(report, "start"), self._opened() as gold:
                for line in gold.heal():
                    self._say(line)
                self._begin(gold)
            try:
                if request.only_new:
                    steps = self._steps_to_what_is_new() or steps
                for command, arguments in steps:
                    if command == "test":  # a part was built: the tests of all would take longer
                        self._covered_batch()
                    self._take(command, command, arguments)
                covered = self._covered_batch()
                self._keep_score()
                self._publish(covered)
            except (TapehouseError, OSError) as error:
                report.status, report.reason = "failed", str(error)
                if self._is_published_all_the_same(str(error)):
                    report.status = "published"
                    text = f"build {request.build_id} is published, and {error}"
                    raise BuildError(text) from error
                raise
            report.status = "published"

    def _begin(self, gold: Gold) -> None:
        try:
            books.begin(gold.db, self._request.build_id, self._clock.now())
        except BuildError:
            gold.give_back()
            raise

    def _steps_to_what_is_new(self) -> list[tuple[str, list[str]]] | None:
        parents, raw = self._dbt.table_parents(), self._dbt.raw_tables()
        with self._opened() as gold:
            found = state.unfinished(gold.db, parents, raw)
        if found is None:
            return None
        self._say(f"{len(found)} of {len(parents)} tables have something new")
        run = [("run", ["--select", " ".join(sorted(found))])] if found else []
        return [*run, ("test", list(_NO_UNIT_TESTS))]

    def _take(self, step: str, command: str, arguments: Sequence[str]) -> None:
        with _timed(self._report, step):
            found = self._dbt.invoke(command, arguments)
            self._results += found.results
            _audit(found, self._report, self._say)

    def _keep_score(self) -> None:
        """Write down what the tests have found, and show it in the mart that is made of it."""
        with _timed(self._report, "scorecard"):
            with self._opened() as gold:
                self._record(gold)
            again = self._dbt.invoke("build", [*_NO_UNIT_TESTS, *_SCORECARD])
            if again.bad:
                _audit(again, self._report, self._say)

    def _covered_batch(self) -> int | None:
        """Return the load batch that all models cover, and say what was rebuilt on the way.

        Raises:
            BuildError: they do not cover the same, or stand on rows that are there no more.
        """
        parents, raw = self._dbt.table_parents(), self._dbt.raw_tables()
        with self._opened() as gold:
            for line in state.rebuilt(gold.db, self._request.build_id):
                if line not in self._report.rebuilt:
                    self._report.rebuilt.append(line)
                    self._say(line)
            return state.require_one(gold.db, parents, raw)

    def _publish(self, covered: int | None) -> None:
        report, request = self._report, self._request
        marts = self._dbt.relations(engine.CANDIDATE)
        with _timed(report, "publish"), self._opened() as gold:
            for name in engine.drop_strangers(gold.db, marts):
                self._say(f"{engine.CANDIDATE}.{name} is no mart of the project: dropped")
            report.accepted = comparison.accept(gold.db, comparison.bands(), request.accepted)
            for line in report.accepted:
                self._say(line)
            report.as_of = _as_of(gold.db)
            report.rows = catalog.row_counts(gold.db, engine.CANDIDATE)
            # Views of raw rows, the clock among them, have seen what was loaded since.
            batch = covered if covered == catalog.last_batch(gold.db) else None
            outcome = Outcome(self._clock.now(), report.as_of, batch, report.accepted)
            gold.publish(request.build_id, outcome)
            gold.give_back()

    def _is_published_all_the_same(self, reason: str) -> bool:
        """Put things in order after a failure, which may have come after the commit.

        Raises:
            BuildError: even that failed (a full disk, no network); the next command does it.
        """
        try:
            with self._opened() as gold:
                now = self._clock.now()
                is_published = gold.settle(self._request.build_id, reason, now)
                self._record(gold)
                gold.give_back()
        except (TapehouseError, OSError) as error:
            left = f"{reason}; the next command has to restore the candidate, since {error}"
            raise BuildError(left) from error
        return is_published

    def _record(self, gold: Gold) -> None:
        build_id, now = self._request.build_id, self._clock.now()
        scorecard.record(gold.db, build_id, _as_of(gold.db), self._results, now)

    @contextmanager
    def _opened(self) -> Iterator[Gold]:
        with self._place.warehouse.opened() as gold:
            gold.take(self._request.build_id)
            yield gold


def _audit(found: Invocation, report: Report, say: Say) -> None:
    """Count what dbt did; raise when something of error severity failed."""
    report.models += found.count("model", "success")
    report.tests_passed += found.count("test", "pass")
    report.tests_warned += found.count("test", "warn")
    for result in found.results:
        if result.status == "warn":
            say(result.line())
    causes = [result for result in found.bad if result.status != "skipped"]
    report.failures += [result.line() for result in causes]
    for line in report.failures:
        say(line)
    if found.bad:
        raise BuildError(_reason(causes, len(found.bad) - len(causes)))


def _reason(causes: list[NodeResult], skipped: int) -> str:
    names = ", ".join(cause.name for cause in causes[:3]) + (", …" if len(causes) > 3 else "")
    return f"{len(causes)} of dbt's nodes failed ({names}), {skipped} skipped; gold unchanged"


def _as_of(db: catalog.Session) -> datetime | None:
    """Return the build's now; None where dbt has not got as far as the model that tells it."""
    if ("view", "silver_build_clock") not in catalog.relations(db, "silver"):
        return None
    [(now,)] = db.execute("select now_at from silver.silver_build_clock").fetchall()
    found: datetime | None = now
    return found


@contextmanager
def _timed(report: Report, step: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        spent = time.monotonic() - started
        report.seconds[step] = round(report.seconds.get(step, 0.0) + spent, 3)
