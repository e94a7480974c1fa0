"""The guards of a run: one for each provider and key, over the one file of budgets."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from pydantic import SecretStr

from ingestion.clock import Clock
from ingestion.errors import SettingsError
from ingestion.limits.account import Account, Identity
from ingestion.limits.circuit import BreakerPolicy
from ingestion.limits.file import LimitsFile
from ingestion.limits.guard import Patience, ProviderGuard
from ingestion.limits.limit import BUDGETS, Budget, parse
from ingestion.settings import LimitsSettings, ProjectSettings


class Guards:
    """Makes guards; those of one identity share its budget, here and in every other process."""

    def __init__(
        self,
        file: LimitsFile,
        settings: LimitsSettings,
        clock: Clock,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._file = file
        self._settings = settings
        self._clock = clock
        self._is_stopped = is_stopped

    def guard(self, provider: str, base_url: str, key: SecretStr | None = None) -> ProviderGuard:
        """Make the guard of a provider at ``base_url``, for the holder of ``key``.

        Raises:
            SettingsError: there is no budget for it, or the configured one is malformed.
            LimitsError: the file of budgets cannot be used.
        """
        settings = self._settings
        secret = key.get_secret_value() if key else None
        account = Account(
            self._file,
            Identity.of(provider, base_url, secret),
            budget_of(provider, settings),
            BreakerPolicy(settings.breaker_failures, settings.breaker_open_s),
        )
        patience = Patience(settings.max_wait_s, settings.attempts, settings.retry_s)
        return ProviderGuard(provider, account, patience, self._clock, self._is_stopped)


def budget_of(provider: str, settings: LimitsSettings) -> Budget:
    """Return a provider's budget: the declared one, or what the settings put in its place.

    Raises:
        SettingsError: there is none, or it is malformed.
    """
    declared = BUDGETS.get(provider)
    if declared is None:
        raise SettingsError(f"expected one of {', '.join(sorted(BUDGETS))}, found {provider!r}")
    text = getattr(settings, provider)
    return replace(declared, limits=parse(text, f"LIMITS_{provider.upper()}")) if text else declared


@contextmanager
def opened(clock: Clock, is_stopped: Callable[[], bool]) -> Iterator[Guards]:
    """Open the file of budgets in the state folder for a run.

    Raises:
        LimitsError: it cannot be used.
    """
    settings = LimitsSettings.load()
    with closing(LimitsFile(ProjectSettings.load().state("limits"))) as file:
        yield Guards(file, settings, clock, is_stopped)
