"""What every adapter of a provider shares: how its requests are guarded, and how they fail.

An adapter turns whatever a provider answers into one of the errors here, by status and by what the
body means, never by trust in either alone: many providers refuse with HTTP 200. What is done about
an error (waiting, trying again, another provider) is decided in one place, behind `Guard`.
"""

from collections.abc import Callable
from typing import Literal, Protocol, TypeVar

from ingestion.errors import TapehouseError

Scope = Literal["second", "minute", "day"]
Denied = Literal["key", "plan", "symbol"]

_Answer = TypeVar("_Answer")


class ProviderError(TapehouseError):
    """A provider did not give what it was asked for; ``body`` is what it gave, if anything.

    ``context`` is what it takes to read the body again one day, as `Refused.context`.
    """

    def __init__(self, text: str, body: bytes = b"") -> None:
        super().__init__(text)
        self.body = body
        self.context: tuple[tuple[str, str], ...] = ()


class RateLimitedError(ProviderError):
    """The provider wants fewer requests, whatever our own count says.

    ``retry_after_s`` is what it said itself; ``scope`` is whose budget is spent, None when it does
    not tell.
    """

    transient = True

    def __init__(
        self,
        text: str,
        body: bytes = b"",
        retry_after_s: float | None = None,
        scope: Scope | None = None,
    ) -> None:
        super().__init__(text, body)
        self.retry_after_s = retry_after_s
        self.scope = scope


class ProviderDownError(ProviderError):
    """No answer, or a server's error: the same request may succeed later."""

    transient = True


class DeniedError(ProviderError):
    """The key is not valid, or its plan does not include what was asked for.

    ``what`` is denied: everything to the key, a kind of data to the plan, or one symbol of it.
    """

    def __init__(self, text: str, body: bytes = b"", what: Denied = "key") -> None:
        super().__init__(text, body)
        self.what = what


class NoDataError(ProviderError):
    """The provider knows nothing of the symbol, or has nothing in the range."""


class MalformedError(ProviderError):
    """The answer is not what the provider documents; ``body`` is kept."""


class Guard(Protocol):
    """What stands before every request to one provider with one key."""

    def call(self, request: Callable[[], _Answer]) -> _Answer:
        """Wait for the budget, send one request, and try again where that may help.

        ``request`` sends exactly one request; it raises ProviderError where that failed.

        Raises:
            ProviderError: the last one, where trying again does not help or has not helped.
            BudgetSpentError: the budget has no room for longer than the guard may wait.
            CircuitOpenError: the provider has failed too often just now.
            StoppedError: the run was asked to end.
        """
        ...

    def observe(
        self, remaining: int, reset_s: float | None = None, scope: Scope = "minute"
    ) -> None:
        """Note what an answer said of the provider's own count; called inside a request.

        ``remaining`` is how many requests it still allows in ``scope``, ``reset_s`` the seconds
        until its count starts anew. A smaller number than ours lowers ours; a larger one is not
        believed.
        """
        ...


class BudgetSpentError(ProviderError):
    """No request is left for now; ``wait_s`` until there is one."""

    transient = True

    def __init__(self, text: str, wait_s: float) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class CircuitOpenError(ProviderError):
    """The provider has failed too often: it is left alone for a while."""

    transient = True


class StoppedError(TapehouseError):
    """The run was asked to end while a request waited; no other provider is asked instead."""


class Unguarded:
    """Sends at once and once: for tests, and for servers of one's own."""

    def call(self, request: Callable[[], _Answer]) -> _Answer:
        return request()

    def observe(
        self, remaining: int, reset_s: float | None = None, scope: Scope = "minute"
    ) -> None:
        """Nothing is counted here."""
