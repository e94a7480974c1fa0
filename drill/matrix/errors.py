"""Why a row is red."""

from typing import Final

from ingestion.errors import TapehouseError

# With a rule broken on purpose these are the verdicts wanted: of landing, not of the drill.
CAUGHT: Final = ("violated", "stuck")


class RedError(TapehouseError):
    """A row is red; ``kind`` is one word for it."""

    kind = "red"


class UnsteadyError(RedError):
    """The row could not begin: nothing was landed even before the fault."""

    kind = "unsteady"


class UnprovenError(RedError):
    """The fault did not happen, so the row says nothing."""

    kind = "unproven"


class StuckError(RedError):
    """After the heal landing did not catch up in time, or did not do what it had to."""

    kind = "stuck"


class ViolatedError(RedError):
    """An auditor found an invariant violated, or could not judge it."""

    kind = "violated"


class UnseenError(RedError):
    """The one asked did not answer; who waits for something asks again."""

    kind = "unseen"


class SkippedError(TapehouseError):
    """This machine does not allow the fault; the text says why."""
