from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion.limits.account import Account, Identity
from ingestion.limits.circuit import BreakerPolicy
from ingestion.limits.file import LimitsFile
from ingestion.limits.guard import Patience, ProviderGuard
from ingestion.limits.limit import Budget, Limit, microseconds

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
NOW = microseconds(START)
WHO = Identity("finnhub", "localhost:1", "0a0b0c0d")


class FakeClock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []
        self.on_sleep: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return START + timedelta(seconds=self.time)

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        self.on_sleep()


class Rig:
    """A file of budgets, a clock that stands still, and guards over both."""

    def __init__(self, folder: Path, file: LimitsFile) -> None:
        self.folder = folder
        self.file = file
        self.clock = FakeClock()
        self.is_stopped = False

    def account(self, *limits: Limit, failures: int = 3, zone: str = "UTC") -> Account:
        return Account(self.file, WHO, Budget(limits, zone), BreakerPolicy(failures, open_s=60.0))

    def guard(self, *limits: Limit, patience: Patience, failures: int = 100) -> ProviderGuard:
        account = self.account(*limits, failures=failures)
        return ProviderGuard("finnhub", account, patience, self.clock, lambda: self.is_stopped)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    folder = tmp_path / "limits"
    with closing(LimitsFile(folder)) as file:
        yield Rig(folder, file)
