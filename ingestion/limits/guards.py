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
from ingestion.limits.limit import BUDGETS, LOCAL_BUDGETS, Budget, is_local, parse
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
        identity = Identity.of(provider, base_url, secret)
        account = Account(
            self._file,
            identity,
            budget_of(provider, settings, identity.host),
            BreakerPolicy(settings.breaker_failures, settings.breaker_open_s),
        )
        patience = Patience(settings.max_wait_s, settings.attempts, settings.retry_s)
        return ProviderGuard(provider, account, patience, self._clock, self._is_stopped)


def budget_of(provider: str, settings: LimitsSettings, host: str = "") -> Budget:
    """Return a provider's budget at a host: the declared one, or what the settings say instead.

    Raises:
        SettingsError: there is none, or it is malformed.
    """
    local = LOCAL_BUDGETS.get(provider) if is_local(host) else None
    declared = local or BUDGETS.get(provider)
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
