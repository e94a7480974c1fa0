"""Write, audit, publish: marts are built beside gold, tested with the whole project, then shown."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from dbt_stocks import publishing, runner
from dbt_stocks.publishing import Gold
from dbt_stocks.runner import Invocation, NodeResult
from ingestion import lock
from ingestion.clock import Clock
from ingestion.errors import BuildError, TapehouseError
from ingestion.settings import ProjectSettings, WarehouseSettings

Say = Callable[[str], None]
# Unit tests judge the models' logic on fixtures; they belong to the tests, not to every build.
_NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")


@dataclass(frozen=True)
class Request:
    """What a gate command was asked for; ``now`` is the replay clock, UTC."""

    build_id: str
    select: str | None = None
    full_refresh: bool = False
    now: str | None = None


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
    rows: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def new_build_id(clock: Clock) -> str:
    """Return an id that sorts by time and that no other build has."""
    return f"{clock.now():%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"


def build(request: Request, report: Report, clock: Clock, say: Say) -> None:
    """Build candidate and silver, test the whole project, and publish when every test passed.

    Raises:
        BuildError: something failed; gold is what it was and ``report`` says what.
    """
    arguments = [*_NO_UNIT_TESTS, *(["--full-refresh"] if request.full_refresh else [])]
    if request.select is None:
        steps = [("build", arguments)]
    else:
        selected = [*arguments, "--select", request.select]
        steps = [("build", selected), ("test", list(_NO_UNIT_TESTS))]
    _gate(steps, request, report, clock, say)


def publish(request: Request, report: Report, clock: Clock, say: Say) -> None:
    """Test the whole project as it stands, and publish the candidate when every test passed.

    Raises:
        BuildError: a test failed; gold is what it was and ``report`` says what.
    """
    _gate([("test", list(_NO_UNIT_TESTS))], request, report, clock, say)


def _gate(
    steps: Sequence[tuple[str, list[str]]],
    request: Request,
    report: Report,
    clock: Clock,
    say: Say,
) -> None:
    settings = WarehouseSettings.load()
    with lock.held(settings.lock(), settings.lock_timeout_s, say):
        with _timed(report, "start"), _opened(settings) as gold:
            for line in publishing.heal(gold):
                say(line)
            publishing.begin(gold, request.build_id, clock.now())
        try:
            for command, arguments in steps:
                with _timed(report, command):
                    _audit(_dbt(command, arguments, request, settings), report, say)
        except TapehouseError as error:
            report.status, report.reason = "failed", str(error)
            with _opened(settings) as gold:
                publishing.fail(gold, request.build_id, str(error), clock.now())
            raise
        with _timed(report, "publish"), _opened(settings) as gold:
            report.as_of = _as_of(gold)
            publishing.publish(gold, request.build_id, report.as_of, clock.now())
            report.rows = publishing.row_counts(gold)
        report.status = "published"


def _dbt(
    command: str, arguments: list[str], request: Request, settings: WarehouseSettings
) -> Invocation:
    variables = {
        "WAREHOUSE_PATH": str(settings.file()),
        "TAPEHOUSE_BUILD_ID": request.build_id,
        "TAPEHOUSE_NOW": request.now or "",
        "DBT_MODULE_PATH": str(runner.PROJECT),
    }
    return runner.invoke(command, arguments, ProjectSettings.load().state("dbt"), variables)


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


def _as_of(gold: Gold) -> datetime | None:
    rows = gold.db.execute("select now_at from silver.silver_build_clock").fetchall()
    return rows[0][0] if rows else None


def _opened(settings: WarehouseSettings) -> AbstractContextManager[Gold]:
    return publishing.open_gold(settings.file(), settings.published())


@contextmanager
def _timed(report: Report, step: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        spent = time.monotonic() - started
        report.seconds[step] = round(report.seconds.get(step, 0.0) + spent, 3)
