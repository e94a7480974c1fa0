"""The guard before a provider: budget, holds, back-off and circuit breaker in one place."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock, local
from typing import Final, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    wait_random_exponential,
)

from ingestion import logs
from ingestion.clock import Clock
from ingestion.limits.account import Account, Ticket, Wait
from ingestion.limits.limit import SECOND, microseconds
from ingestion.sources.provider import (
    BudgetSpentError,
    CircuitOpenError,
    ProviderDownError,
    ProviderError,
    RateLimitedError,
    Scope,
    StoppedError,
)

# A wait is cut into pieces so that a stop is noticed.
SLICE_S: Final = 0.2
# Somebody else may have taken what was free; nobody needs to look more often.
_MIN_WAIT_S: Final = 0.001

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Patience:
    """How long a guard waits and how often it tries.

    ``max_wait_s`` is for the budget or a refusal's end, before each attempt. No pause before
    another one ends later than ``retry_s`` after the call; the wait for the budget comes on top.
    The n-th pause after a failure is drawn evenly from 0 to
    ``backoff_s * 2**(n - 1)``, at most ``max_backoff_s`` ("full jitter").
    """

    max_wait_s: float = 65.0
    attempts: int = 4
    retry_s: float = 120.0
    backoff_s: float = 1.0
    max_backoff_s: float = 30.0


class ProviderGuard:
    """Stands before every request to one provider with one key. Safe for threads."""

    def __init__(
        self,
        name: str,
        account: Account,
        patience: Patience,
        clock: Clock,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._name = name
        self._account = account
        self._patience = patience
        self._clock = clock
        self._is_stopped = is_stopped
        self._backoff = wait_random_exponential(
            multiplier=patience.backoff_s, max=patience.max_backoff_s
        )
        self._log = logs.get("limits").bind(provider=name)
        self._sending = local()
        self._counting = Lock()
        self._counts: Counter[str] = Counter()
        self._waited_s = 0.0

    def call(self, request: Callable[[], _Answer]) -> _Answer:
        began = self._clock.monotonic()

        def is_over(state: RetryCallState) -> bool:
            next_at = self._clock.monotonic() + state.upcoming_sleep
            is_late = next_at - began >= self._patience.retry_s
            return is_late or state.attempt_number >= self._patience.attempts

        retrying = Retrying(
            retry=retry_if_exception(self._is_worth_another),
            stop=is_over,
            wait=self._pause_after,
            sleep=self._pause,
            before_sleep=self._note_retry,
            reraise=True,
        )
        answer: _Answer = retrying(self._send, request)
        return answer

    def observe(
        self, remaining: int, reset_s: float | None = None, scope: Scope = "minute"
    ) -> None:
        now = self._now()
        since = getattr(self._sending, "since", now)
        lowered = self._account.observe(remaining, reset_s, scope, since, now)
        self._count("spent_by_others", lowered)

    def facts(self) -> Mapping[str, object]:
        """Return what a run's summary should say: requests, waits, refusals, what is left."""
        names = "requests", "retried", "rate_limited", "failed", "not_sent", "spent_by_others"
        with self._counting:
            counts = {name: self._counts[name] for name in names}
            waited_s = round(self._waited_s, 1)
        return counts | {"waited_s": waited_s, "left": self._account.left(self._now())}

    def _send(self, request: Callable[[], _Answer]) -> _Answer:
        ticket = self._ticket()
        self._count("requests")
        self._sending.since = ticket.started_at
        try:
            answer = request()
        except ProviderError as error:
            self._note(ticket, error)
            raise
        except BaseException:
            self._account.give_back(ticket, self._now())
            raise
        finally:
            del self._sending.since
        self._note(ticket, None)
        return answer

    def _ticket(self) -> Ticket:
        """Wait for leave to send."""
        deadline = self._clock.monotonic() + self._patience.max_wait_s
        while True:
            self._raise_if_stopped()
            found = self._account.take(self._now())
            if isinstance(found, Ticket):
                return found
            wait_s = found.microseconds / SECOND
            if found.why == "circuit" or self._clock.monotonic() + wait_s > deadline:
                self._count("not_sent")
                raise self._refusal(found, wait_s)
            self._pause(max(wait_s, _MIN_WAIT_S))

    def _refusal(self, found: Wait, wait_s: float) -> ProviderError:
        if found.why == "circuit":
            text = f"{self._name}: left alone for {wait_s:.0f} s more after {found.detail}"
            return CircuitOpenError(text)
        text = f"{self._name}: no request for {wait_s:.0f} s more ({found.detail})"
        return BudgetSpentError(text, wait_s)

    def _note(self, ticket: Ticket, error: ProviderError | None) -> None:
        self._account.told(ticket, error, self._now())
        if isinstance(error, RateLimitedError):
            self._count("rate_limited")
            self._log.warning("rate_limited", scope=error.scope, retry_after_s=error.retry_after_s)
        elif error is not None:
            self._count("failed")

    def _is_worth_another(self, error: BaseException) -> bool:
        if isinstance(error, RateLimitedError):
            return self._held_s() <= self._patience.max_wait_s
        return isinstance(error, ProviderDownError)

    def _pause_after(self, state: RetryCallState) -> float:
        outcome = state.outcome
        if outcome is not None and isinstance(outcome.exception(), RateLimitedError):
            return self._held_s()
        return self._backoff(state)

    def _note_retry(self, state: RetryCallState) -> None:
        self._count("retried")

    def _held_s(self) -> float:
        return self._account.held(self._now()) / SECOND

    def _pause(self, seconds: float) -> None:
        """Sleep in slices; a stop ends it at once."""
        start = self._clock.monotonic()
        try:
            while (left := start + seconds - self._clock.monotonic()) > 0:
                self._raise_if_stopped()
                self._clock.sleep(min(left, SLICE_S))
        finally:
            with self._counting:
                self._waited_s += self._clock.monotonic() - start

    def _raise_if_stopped(self) -> None:
        if self._is_stopped():
            raise StoppedError(f"{self._name}: stopped before the next request")

    def _count(self, name: str, number: int = 1) -> None:
        with self._counting:
            self._counts[name] += number

    def _now(self) -> int:
        return microseconds(self._clock.now())
