"""Which stores the doctor has passed: ``var/run/store-doctor.json``, asked when a lander starts.

An entry is of one endpoint, bucket and identity; it counts as long as the store calls itself the
same and the checks are the same ones. A failed one counts until the command passes at its full
extent: a race that was lost once is not made good by a few that were won.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from ingestion import logs
from ingestion.cli import write_report
from ingestion.clock import Clock, rfc3339
from ingestion.errors import StoreUnfitError
from ingestion.land.doctor import examination, findings
from ingestion.land.doctor.findings import Finding, Verdict
from ingestion.land.doctor.site import Plan, Site
from ingestion.settings import StoreSettings

_HOLDS: Final = timedelta(days=7)  # a store that was replaced may call itself what it did before
_WAIT_S: Final = 300.0  # for another lander's examination


@dataclass(frozen=True)
class Subject:
    """What is examined: a store, as one identity sees it."""

    endpoint: str
    bucket: str
    identity: str
    kind: str
    server: str

    @classmethod
    def of(cls, settings: StoreSettings, server: str) -> "Subject":
        """Return what the lander's settings and the store's name for itself say.

        Raises:
            SettingsError: the lander's keys are not set.
        """
        access_key, _ = settings.keys("lander")
        identity = f"lander-{hashlib.sha256(access_key.encode()).hexdigest()[:12]}"
        return cls(settings.url(), settings.bronze_bucket, identity, settings.kind, server)

    @property
    def name(self) -> str:
        """What is the same as long as the same store is meant."""
        return f"{self.endpoint} {self.bucket} {self.identity}"


class Stamps:
    """The file; several landers use it at once."""

    def __init__(self, run: Path, clock: Clock) -> None:
        self._path = run / "store-doctor.json"
        self._clock = clock

    def lock(self) -> FileLock:
        """Return the lock under which verdicts are entered and new stores examined."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self._path.with_suffix(".lock"), timeout=_WAIT_S)

    def passed(self, subject: Subject) -> bool:
        """Tell whether the doctor has passed this very store, and not too long ago."""
        entry = self._entry(subject)
        if entry is None or entry["verdict"] != Verdict.OK:
            return False
        return self._clock.now() - datetime.fromisoformat(entry["at"]) < _HOLDS

    def failed(self, subject: Subject) -> str:
        """Return what the doctor has found wrong with this very store; empty where nothing."""
        entry = self._entry(subject)
        return entry["failed"] if entry else ""

    def enter(self, subject: Subject, found: Sequence[Finding], plan: Plan) -> bool:
        """Keep a verdict, a good one only if it says enough; the caller holds the lock.

        Returns whether it is kept.
        """
        is_good = findings.verdict(found) is Verdict.OK
        if not examination.is_complete(found) or (is_good and not plan.covers(self.least(subject))):
            return False
        entry = {
            "verdict": findings.verdict(found),
            "failed": findings.told(found),
            "at": rfc3339(self._clock.now()),
            **_circumstances(subject),
        }
        write_report(self._path, self._entries() | {subject.name: entry})
        return True

    def least(self, subject: Subject) -> Plan:
        """Return how much a store must pass at least for landing to start on it."""
        return examination.FULL if self.failed(subject) else examination.QUICK

    def _entry(self, subject: Subject) -> dict[str, Any] | None:
        entry: dict[str, Any] = self._entries().get(subject.name, {})
        return entry if entry.items() >= _circumstances(subject).items() else None

    def _entries(self) -> dict[str, Any]:
        if not self._path.exists():
            return {}
        entries: dict[str, Any] = json.loads(self._path.read_text())
        return entries


def require_fit(
    settings: StoreSettings,
    server: str,
    run: Path,
    clock: Clock,
    examine: Callable[[Site], list[Finding]] = examination.examine,
) -> None:
    """Refuse a store that the doctor has found unfit; have one that it does not know examined.

    ``server`` is what the store calls itself, ``run`` the folder of the verdicts.

    Raises:
        StoreUnfitError: a check failed, now or when the doctor last looked.
        StoreUnavailableError: the store does not answer; nothing is known.
    """
    stamps, subject = Stamps(run, clock), Subject.of(settings, server)
    if stamps.passed(subject):
        return
    with stamps.lock():  # landers that start at once have it examined once
        wrong = _wrong(stamps, subject, lambda: examine(_quick_site(settings, clock)))
    if wrong:
        raise StoreUnfitError(
            f"the store is not fit for landing: {wrong} "
            "(landing starts when `python -m ingestion doctor` has passed)"
        )


def _wrong(stamps: Stamps, subject: Subject, examine: Callable[[], list[Finding]]) -> str:
    if stamps.passed(subject):
        return ""
    known = stamps.failed(subject)
    if known:
        return known
    logs.get("doctor").info("store_is_examined", endpoint=subject.endpoint, bucket=subject.bucket)
    found = examine()
    stamps.enter(subject, found, examination.QUICK)
    return findings.told(found)


def _quick_site(settings: StoreSettings, clock: Clock) -> Site:
    return Site.open(settings, clock, examination.QUICK)


def _circumstances(subject: Subject) -> dict[str, Any]:
    """Return what a verdict depends on besides the name; it must be asked anew when it changes."""
    return {
        "kind": subject.kind,
        "server": subject.server,
        "checks": examination.VERSION,
    }
