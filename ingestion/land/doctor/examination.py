"""The checks in their order, and a run of all of them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from ingestion.errors import ChainError, StoreError, StoreUnavailableError
from ingestion.land.doctor import promises, rights, versions
from ingestion.land.doctor.findings import Finding, Result, Verdict, failures
from ingestion.land.doctor.race import race
from ingestion.land.doctor.site import Plan, Site

VERSION: Final = 1  # of the checks: a store that passed others is examined again
FULL: Final = Plan(rounds=60, racers=16, processes=4, lists=200)
# What a lander runs before its first landing: the fence, at the cost of some seconds.
QUICK: Final = Plan(rounds=10, racers=8, processes=1, lists=20)

Check = tuple[str, Callable[[Site], Result]]
# Where one of these fails there is nothing to examine: the others are left out.
_CONDITIONS: Final[Sequence[Check]] = (("clock", promises.clock), ("buckets", promises.buckets))


def examine(site: Site, on_finding: Callable[[Finding], None] = lambda _: None) -> list[Finding]:
    """Run every check and clean up; what is found wrong stays so if the store falls silent then.

    Raises:
        StoreUnavailableError: the store does not answer; that says nothing about its promises.
    """
    found = _run(site, _CONDITIONS, on_finding)
    return found if failures(found) else found + _run(site, _checks(site), on_finding)


def is_complete(findings: Sequence[Finding]) -> bool:
    """Tell whether the store's promises were examined, and not only how it is reached."""
    return len(findings) > len(_CONDITIONS)


def _run(
    site: Site, checks: Sequence[Check], on_finding: Callable[[Finding], None]
) -> list[Finding]:
    found: list[Finding] = []
    try:
        for name, check in checks:
            found.append(_finding(site, name, check))
            on_finding(found[-1])
    except StoreUnavailableError as error:
        if not failures(found):
            raise
        found.append(Finding("further checks", Verdict.SKIPPED, str(error), 0.0))
        on_finding(found[-1])
    return found


def _checks(site: Site) -> list[Check]:
    places = (("plain", site.plain), ("versioned", site.versioned))
    crews = [("threads", 1), ("processes", site.plan.processes)]
    races = [
        (f"race of {crew}, {kind}", partial(race, bucket=bucket, number=number, processes=count))
        for kind, bucket in places
        for number, (crew, count) in enumerate(crews)
        if crew == "threads" or count > 1
    ]
    taken = [
        (f"taken key, {kind}", partial(promises.taken_key, bucket=bucket, number=2))
        for kind, bucket in places
    ]
    return [
        *races,
        *taken,
        ("list after write", partial(promises.list_after_write, number=3)),
        ("pages of a listing", partial(promises.pages, number=3)),
        ("read after write", partial(promises.read_after_write, number=4)),
        ("checksums", partial(promises.checksums, number=5)),
        ("truncated upload", partial(promises.truncated_upload, number=6)),
        ("lander may", rights.lander_may),
        ("lander may not", rights.lander_may_not),
        ("nobody may", rights.nobody_may),
        ("versions in bronze", versions.bronze_is_versioned),
        ("clean-up", versions.clean_up),
    ]


def _finding(site: Site, name: str, check: Callable[[Site], Result]) -> Finding:
    began = site.clock.monotonic()
    try:
        result = check(site)
    except StoreUnavailableError:
        raise
    except (StoreError, ChainError) as error:
        result = Result(Verdict.FAILED, str(error))
    seconds = round(site.clock.monotonic() - began, 3)
    return Finding(name, result.verdict, result.measured, seconds)
