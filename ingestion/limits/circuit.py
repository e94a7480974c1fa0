"""A circuit breaker's state as a value, moved on by pybreaker's rules.

pybreaker holds its lock while the guarded call runs, reads the machine's clock, and shares its
state through Redis only. So it is given the outcome of a request instead of the request itself,
and its state lies where the budget lies: one for all processes.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from pybreaker import (
    STATE_CLOSED,
    STATE_HALF_OPEN,
    STATE_OPEN,
    CircuitBreaker,
    CircuitMemoryStorage,
)

from ingestion.limits.limit import SECOND
from ingestion.sources.provider import MalformedError, ProviderDownError, ProviderError

# A trial whose process died is given up after this; no request takes longer.
TRIAL: Final = 60 * SECOND
FAULTS: Final = (ProviderDownError, MalformedError)


@dataclass(frozen=True)
class BreakerPolicy:
    """Opens after ``failures`` in a row; after ``open_s`` seconds one request tries again."""

    failures: int = 5
    open_s: float = 60.0

    @property
    def longest(self) -> int:
        """Microseconds beyond which no circuit keeps requests away."""
        return max(round(self.open_s * SECOND), TRIAL)


@dataclass(frozen=True)
class Circuit:
    """``state`` as pybreaker names it; ``failures`` in a row; ``next_at`` is in microseconds.

    ``next_at`` is when an open circuit is tried again, or a half-open one whose trial has not come
    back; it means nothing while the circuit is closed.
    """

    state: str = STATE_CLOSED
    failures: int = 0
    next_at: int = 0

    def wait(self, now: int) -> int:
        """Return the microseconds until a request may be sent; 0 for now."""
        return 0 if self.state == STATE_CLOSED else max(0, self.next_at - now)

    def tried(self, now: int) -> "Circuit":
        """Return the circuit after a request was let through: one at a time unless closed."""
        if self.state == STATE_CLOSED:
            return self
        return replace(self, state=STATE_HALF_OPEN, next_at=now + TRIAL)

    def given_back(self, now: int, policy: BreakerPolicy) -> "Circuit":
        """Return the circuit after a request that ended without any word of the provider.

        A trial that says nothing has not closed it; the next one need not wait for ``TRIAL``.
        """
        if self.state != STATE_HALF_OPEN:
            return self
        return Circuit(STATE_OPEN, self.failures, now + round(policy.open_s * SECOND))

    def told(self, error: ProviderError | None, now: int, policy: BreakerPolicy) -> "Circuit":
        """Return the circuit after a request's outcome; None is success.

        Any answer but a fault, a refusal too, shows that the provider is there. What comes late, to
        a circuit already open, changes nothing.
        """
        if self.state == STATE_OPEN:
            return self
        storage = _storage(self)
        with suppress(ProviderError):
            _breaker(storage, policy).call(_replay, error)
        if storage.state == STATE_OPEN:
            return Circuit(STATE_OPEN, storage.counter, now + round(policy.open_s * SECOND))
        return Circuit(storage.state, storage.counter)


def _storage(circuit: Circuit) -> CircuitMemoryStorage:
    storage = CircuitMemoryStorage(circuit.state)
    for _ in range(circuit.failures):
        storage.increment_counter()
    return storage


def _breaker(storage: CircuitMemoryStorage, policy: BreakerPolicy) -> CircuitBreaker:
    return CircuitBreaker(
        fail_max=policy.failures,
        exclude=[lambda error: not isinstance(error, FAULTS)],
        state_storage=storage,
        throw_new_error_on_trip=False,
    )


def _replay(error: ProviderError | None) -> None:
    if error is not None:
        raise error
