"""Every error the project raises on purpose.

A message says what was expected and what was found. ``transient`` is what a retry policy asks:
only an error that the same call may outlive is retried.
"""


class TapehouseError(Exception):
    """Base of all our errors. A command prints its text on one line and exits with 1."""

    transient = False


class SettingsError(TapehouseError):
    """A setting is missing, unknown or malformed; the text names the variable."""


class ContractError(TapehouseError):
    """A message does not fulfil its contract; the text says what was expected and found."""


class SourceError(TapehouseError):
    """A source cannot be read at all: no such file, another format, nothing selected."""


class SourceAwayError(SourceError):
    """Some of what a source was asked for it did not give for now; asked again it may."""

    transient = True


class SourceBusyError(SourceError):
    """Another process fetches the same of a source; nothing was asked of any provider."""

    transient = True


class InstrumentsError(TapehouseError):
    """The list of instruments contradicts itself, or lacks what was asked of it."""


class DeliveryError(TapehouseError):
    """Records were handed to Kafka and not confirmed: their outcome is unknown or negative."""


class SpoolError(DeliveryError):
    """The producer's spool cannot be used: another process has it, or its file is damaged."""


class SpoolFullError(SpoolError):
    """Kafka is away and the spool holds all that it may; all of it is still there."""


class LedgerError(TapehouseError):
    """The producer's ledger cannot be written; nothing is sent that it does not hold."""


class LimitsError(TapehouseError):
    """The file of request budgets cannot be used; no provider is asked without it."""


class BrokerError(TapehouseError):
    """Kafka does not answer, or refuses the user."""

    transient = True


class BrokerAwayError(BrokerError):
    """Kafka does not answer at all."""


class StoreError(TapehouseError):
    """The object store refuses a request for good (credentials, policy, missing bucket)."""


class StoreUnavailableError(StoreError):
    """The object store does not answer or asks to slow down; the outcome of a PUT is unknown."""

    transient = True


class ProbeError(StoreError):
    """The object store does not behave as landing needs; the text says what was found instead."""


class StoreUnfitError(StoreError):
    """The store doctor has found that exactly-once landing cannot be built on this store."""


class ChainError(TapehouseError):
    """Bronze objects of a partition do not form one chain, or contradict Kafka."""


class WarehouseLockedError(TapehouseError):
    """Another process holds the warehouse's lock for longer than we may wait."""

    transient = True


class LoadError(TapehouseError):
    """A load batch does not match its source; nothing of it was kept."""


class VerificationError(TapehouseError):
    """What was loaded differs from its origin; the text has the first difference."""


class SnowflakeError(TapehouseError):
    """Snowflake refuses a login or a statement for good; the text says which, and what to do."""


class SnowflakeAwayError(SnowflakeError):
    """Snowflake cannot be reached, or is in trouble; the outcome of a statement is unknown."""

    transient = True


class BuildError(TapehouseError):
    """dbt failed, or a test did; gold was left as it was."""


class ServingError(TapehouseError):
    """Gold could not be copied to PostgreSQL; its readers see the build that they saw before."""


class ServingAwayError(ServingError):
    """PostgreSQL cannot be reached or has ended the session, or its readers leave no moment."""

    transient = True


class StackError(TapehouseError):
    """A part of the local stack could not be started, stopped or found."""


class LakeError(TapehouseError):
    """A Spark job failed, or what it wrote to its branch is not what it read; main is as before."""


class CommitConflictError(LakeError):
    """Another job has moved the table since this one began; starting again may succeed."""

    transient = True
