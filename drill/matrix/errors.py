"""Why a row is red."""

from collections.abc import Collection

from ingestion.errors import TapehouseError


class RedError(TapehouseError):
    """A row is red; ``kind`` is one word for it."""

    kind = "red"

    def __init__(self, text: str, checks: Collection[str] = ()) -> None:
        """``checks`` names what an auditor found violated, where that is the reason."""
        super().__init__(text)
        self.checks = frozenset(checks)


class UnsteadyError(RedError):
    """The row could not begin: nothing was landed even before the fault."""

    kind = "unsteady"


class UnprovenError(RedError):
    """The fault did not happen, so the row says nothing."""

    kind = "unproven"


class StuckError(RedError):
    """After the heal landing did not catch up in time, or did not do what it had to."""

    kind = "stuck"


class UnsettledError(RedError):
    """What landing leans on did not come to order: brokers, the producer, the group, Spark."""

    kind = "unsettled"


class ViolatedError(RedError):
    """An auditor found an invariant violated."""

    kind = "violated"


class UnjudgedError(RedError):
    """An auditor gave no verdict, could not judge, or has seen too little."""

    kind = "unjudged"


class UnseenError(RedError):
    """The one asked did not answer; who waits for something asks again."""

    kind = "unseen"


class SkippedError(TapehouseError):
    """This machine does not allow the fault; the text says why."""
