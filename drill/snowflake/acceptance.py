"""The parts of the acceptance, in their order: each a command of ours, or a look at the account."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from snowflake.connector import Error, SnowflakeConnection

from drill.outcome import Outcome
from drill.snowflake import account, trials
from ingestion.cli import one_line
from ingestion.errors import SnowflakeError, StackError, TapehouseError
from ingestion.load import snowflake_sql as sql
from ingestion.settings import ROOT, SnowflakeSettings
from ingestion.snowflake.connection import connection
from ingestion.snowflake.diagnosis import of_statement
from ingestion.verify.run import TARGETS
from ingestion.verify.tables import Tables

NOT_EXERCISED: Final = "not exercised"
_SYMBOLS: Final = ("--symbol", "AAPL", "--symbol", "IBM")
_JOBS: Final = ("compact", "daily-metrics", "window-metrics", "bars", "anomalies")
_TAIL: Final = 400
_LOCK_S: Final = 5
Say = Callable[[str], None]


class WrongError(StackError):
    """The account is not what it should be."""


@dataclass
class World:
    """What the parts act on: a stack of their own, and the account."""

    settings: SnowflakeSettings
    folder: Path
    _commands: int = 0

    def run(self, *words: str, has_report: bool = True) -> dict[str, Any]:
        """Run a command of ours and return its report; what it says is kept in a log.

        Raises:
            StackError: it failed; the text has its last words, and where the rest is.
        """
        self._commands += 1
        log, report = self._last(".log"), self._last(".json")
        told = ("--report", str(report)) if has_report else ()
        with log.open("w") as out:
            done = subprocess.run(
                [sys.executable, "-m", *words, *told],
                cwd=ROOT, env=os.environ, stdout=out, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
        if done.returncode:
            end = one_line(log.read_text(errors="replace"))[-_TAIL:]
            raise StackError(
                f"python -m {' '.join(words)} ended with {done.returncode}: … {end} ({log})"
            )
        return self.reported() if has_report else {}

    def says(self, *words: str) -> str:
        """Run a command without a report and return its last line."""
        self.run(*words, has_report=False)
        return one_line(self._last(".log").read_text().splitlines()[-1])

    def reported(self) -> dict[str, Any]:
        """Return the report of the last command, however it ended.

        Raises:
            OSError: it has left none.
        """
        found: dict[str, Any] = json.loads(self._last(".json").read_text())
        return found

    def _last(self, suffix: str) -> Path:
        return self.folder / f"command-{self._commands:02d}{suffix}"


@dataclass(frozen=True)
class Part:
    """Something that has to be so; ``play`` returns its proofs.

    ``lacks`` says what the emulator has not: there it is told as not exercised, and not played.
    """

    name: str
    play: Callable[[World], list[str]]
    lacks: str = ""


def played(world: World, parts: Sequence[Part], say: Say) -> list[Outcome]:
    """Play parts in turn until one is red; the others are told as not played."""
    outcomes: list[Outcome] = []
    is_emulated = account.is_emulated(world.settings)
    for part in parts:
        if any(one.verdict == "red" for one in outcomes):
            outcome = Outcome(verdict="not played", reason="an earlier part is red")
        elif is_emulated and part.lacks:
            outcome = Outcome(verdict=NOT_EXERCISED, reason=f"the emulator has {part.lacks}")
        else:
            say(f"…     {part.name}")
            outcome = _played(world, part)
        say(outcome.line(part.name))
        outcomes.append(outcome)
    return outcomes


def _played(world: World, part: Part) -> Outcome:
    outcome, began = Outcome(), time.monotonic()
    try:
        outcome.proofs = part.play(world)
        outcome.verdict = "green"
    except (TapehouseError, OSError) as error:
        outcome.reason = one_line(str(error))
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


def _dropped(world: World) -> list[str]:
    """What an earlier acceptance left, if it was broken off."""
    return [world.says("ingestion", "snowflake", "teardown")]


def _made(world: World) -> list[str]:
    return [world.says("ingestion", "snowflake", "bootstrap") for _ in range(2)]


def _checked(world: World) -> list[str]:
    world.says("ingestion", "snowflake", "check")
    return ["LOADER, TRANSFORMER and READER log in with their own keys and have their rights alone"]


def _filled(world: World) -> list[str]:
    bars = world.run("ingestion", "produce", "recorded", *_SYMBOLS, "--last-sessions", "300")
    polled = world.run("ingestion", "produce", "simulator", *_SYMBOLS, "--last-sessions", "1")
    world.run("ingestion", "drain")
    jobs = world.run("spark_jobs", "run", *_JOBS)["jobs"]
    written = sum(sum(job["written"].values()) for job in jobs.values())
    return [
        f"{bars['delivered']:,} recorded and {polled['delivered']:,} simulated records in bronze",
        f"{written:,} rows in the lake",
    ]


def _loaded(world: World) -> list[str]:
    first = world.run("ingestion", "load", "--warehouse", "snowflake")
    again = world.run("ingestion", "load", "--warehouse", "snowflake")
    if not first["rows"] or again["rows"]:
        raise WrongError(f"expected rows, then none; found {first['rows']}, then {again['rows']}")
    cost = sum(one["cost"]["credits"] or 0 for one in (first, again))
    return [
        f"{first['rows']:,} rows of {first['files']:,} files",
        "a second load finds nothing",
        f"both: {cost:.3f} credits by estimate",
    ]


def _alone(world: World) -> list[str]:
    """What keeps two loads from writing at once is Snowflake's own lock and transaction."""
    with (
        closing(connection(world.settings, "loader", "live")) as first,
        closing(connection(world.settings, "loader", "live")) as second,
    ):
        _ask(first, "begin", sql.lock("first"))
        _ask(second, f"alter session set lock_timeout = {_LOCK_S}", "begin")
        try:
            _ask(second, sql.lock("second"))
        except SnowflakeError as error:
            told = one_line(str(error))
        else:
            raise WrongError("expected a second load to wait for the first one's lock; it did not")
        [(id_of_first,)] = _ask(first, "select current_transaction()")
        _ask(second, "rollback", f"select system$abort_transaction({id_of_first})")
        [(is_in_it,)] = _ask(
            first, f"select equal_null(current_transaction(), {sql.literal(str(id_of_first))})"
        )
        if is_in_it:
            raise WrongError("expected an aborted transaction to be over for its session")
        _ask(second, "begin", sql.lock("second"), "rollback")
    return [f"a second load waits ({told})", "and goes on when the first one's transaction ends"]


def _ask(session: SnowflakeConnection, *statements: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for statement in statements:
        try:
            with session.cursor() as cursor:
                cursor.execute(statement)
                rows = [tuple(row) for row in cursor.fetchall()]
        except Error as error:
            raise of_statement(error, statement) from error
    return rows


def _verified(world: World) -> list[str]:
    found = world.run("ingestion", "snowflake", "verify")
    rows = sum(one["rows"] for one in found["targets"].values())
    return [f"{found['verdict']}: {rows:,} rows of {len(found['targets'])} targets"]


def _found_wrong(world: World) -> list[str]:
    """A verification that finds nothing proves nothing: a file is doubled as LOADER may do it."""
    with closing(connection(world.settings, "loader", "live")) as session:
        target = next(one for one in TARGETS[1:] if Tables(session).ledger(one))
        with session.cursor() as cursor:
            cursor.execute(f"insert into {target} select * from {target}")  # noqa: S608 - ours
    try:
        world.run("ingestion", "snowflake", "verify", "--target", target)
    except StackError:
        differences = world.reported()["differences"]
        return [f"with the rows of {target} doubled it fails: {differences} differences"]
    raise WrongError(f"expected verify to fail with the rows of {target} doubled; it did not")


def _built(world: World) -> list[str]:
    found = world.run("dbt_stocks", "build", "--warehouse", "snowflake")
    return [
        f"{found['models']} models, {found['tests_passed']} tests passed",
        f"published as {found['build_id']}",
    ]


def _read(world: World) -> list[str]:
    wrong = trials.played(world.settings, [one for one in trials.TRIALS if not one.is_refused])
    if wrong:
        raise WrongError("; ".join(wrong))
    with connection(world.settings, "reader", "live") as session, session.cursor() as cursor:
        cursor.execute("select count(*) from gold.gold_kpi")
        [(rows,)] = cursor.fetchall()
    if not rows:
        raise WrongError("expected symbols in gold.gold_kpi, found none")
    return [f"READER sees {rows} symbols in gold.gold_kpi; each user reads what it has to"]


def _refused(world: World) -> list[str]:
    refused = [one for one in trials.TRIALS if one.is_refused]
    wrong = trials.played(world.settings, refused)
    if seen := trials.seen_schemas(world.settings) - {"gold"}:
        wrong.append(f"READER sees tables in {', '.join(sorted(seen))}")
    if wrong:
        raise WrongError("; ".join(wrong))
    return [f"{len(refused)} forbidden statements refused; READER sees gold alone"]


PARTS = (
    Part("nothing is left of an earlier run", _dropped),
    Part("bootstrap, twice", _made),
    Part("logins and grants", _checked, "no grants that can be shown, and checks no key"),
    Part("recorded bars, simulated quotes", _filled),
    Part("load by the internal stage, twice", _loaded),
    Part("two loads at once", _alone, "no transactions"),
    Part("verify", _verified),
    Part("dbt build, tested and published", _built),
    Part("what each user may", _read),
    Part("what no user may", _refused, "no rights"),
    Part("verify sees a doubled file", _found_wrong),
)
TEARDOWN = Part("teardown", _dropped)
# What no statement of the emulator's shows, whatever is green there.
BEYOND_THE_EMULATOR = (
    "warehouses, their time-outs and the resource monitors: it has no compute",
    "network policy and service users: it lets everybody in",
    "teardown: what drops the database, roles, users and compute is answered, not executed",
    "transactions: BEGIN and ROLLBACK are answered, not executed",
    "COPY, PUT and REMOVE are its shim's (tests/emulator/README.md)",
    "clone and swap of schemas are copies there; READER's rights do not travel",
)
