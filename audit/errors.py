"""The auditor's own errors; a message says what was expected and what was found."""


class AuditError(Exception):
    """Base of the auditor's errors. The command prints its text on one line."""


class SettingsError(AuditError):
    """A setting is missing or malformed; the text names the variable."""


class UnreadableError(AuditError):
    """A stage's storage could not be read: its verdict is unknown, never ok."""
