"""What Snowflake's connector raises, as one line of ours that says what to do."""

import re
import socket
from collections.abc import Callable

from snowflake.connector import errorcode, errors

from ingestion.clock import SystemClock
from ingestion.errors import SnowflakeAwayError, SnowflakeError
from ingestion.settings import SnowflakeSettings, SnowflakeUser

# Snowflake's own codes; those of the key are listed in its "Key pair authentication:
# troubleshooting", and the client mostly sees the general 390144, whatever is wrong with the token.
_KEY_REFUSED = frozenset({390144, *range(394300, 394400)})
_ROLE_REFUSED = 390189
_NO_SUCH_OBJECT = 390201
_NETWORK_POLICY = 390422
_SESSION_GONE = frozenset({390104, 390111, 390112, 390114})
_NETWORK_POLICY_TEXT = re.compile(r"not allowed to access Snowflake", re.IGNORECASE)
_HTTP = 290000
_UNANSWERED = frozenset(
    {
        errorcode.ER_FAILED_TO_CONNECT_TO_DB,
        errorcode.ER_FAILED_TO_REQUEST,
        errorcode.ER_FAILED_TO_SERVER,
        errorcode.ER_CONNECTION_IS_CLOSED,
        errorcode.ER_CONNECTION_TIMEOUT,
        errorcode.ER_RETRYABLE_CODE,
    }
)
# PUT talks to the stage's own store, not to Snowflake.
_STAGE_AWAY = frozenset(
    {errorcode.ER_FAILED_TO_UPLOAD_TO_STAGE, errorcode.ER_FAILED_TO_CHECK_EXISTING_FILES}
)
# An internal error, as Snowflake calls it, and a lock that too many wait for.
_PASSING = frozenset({603, 625})
_UNKNOWN_ACCOUNT = frozenset({403, 404})
# Its host name exists wherever names are resolved at all.
_KNOWN_HOST = "www.snowflake.com"
_BOOTSTRAP = "`python -m ingestion snowflake bootstrap`"


def resolves(host: str) -> bool:
    """Return whether the host's name leads to an address."""
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def code(error: Exception) -> int:
    """Return the error's code: Snowflake's own (390144), the connector's (250001), or HTTP's (404).

    The connector adds 290,000 to HTTP's, and again when it wraps one: 580503 is a 503.
    """
    found = int(getattr(error, "errno", None) or -1)
    if found < _HTTP or 390000 <= found < 400000:
        return found
    return found % _HTTP


def is_transient(error: Exception) -> bool:
    """Return whether the same statement may succeed in a new session; its outcome is unknown.

    A refusal (of rights, of a name, of a value) is none, whatever class the connector gives it.
    """
    if isinstance(error, errors.ForbiddenError):  # its code is that of an unanswered login
        return False
    found = code(error)
    passing = _UNANSWERED | _SESSION_GONE | _STAGE_AWAY | _PASSING
    return found in passing or found in (408, 429) or 500 <= found < 600


def of_statement(error: errors.Error, what: str) -> SnowflakeError:
    """Return the error of a statement; ``what`` says which it was."""
    kind = SnowflakeAwayError if is_transient(error) else SnowflakeError
    return kind(f"{what}: {_text(error)}")


def of_login(
    error: errors.Error,
    settings: SnowflakeSettings,
    who: SnowflakeUser,
    resolves: Callable[[str], bool] = resolves,
) -> SnowflakeError:
    """Return the error of a login that failed: which of key, account, network, role it is."""
    found, user = code(error), settings.user(who)
    if isinstance(error, errors.ForbiddenError) or found in _UNKNOWN_ACCOUNT:
        return _unknown_account(settings)
    if found in _KEY_REFUSED:
        path, _ = settings.key(who)
        return SnowflakeError(
            f"Snowflake refuses the key of {user} ({path}): expected the private key whose public "
            f"key the user has ({_gives_it(who)} gives it), a user of that LOGIN_NAME, in "
            f"{settings.account_name()} and no other account, and a clock that is right to a "
            f"minute: this one says {SystemClock().now():%F %T}Z ({_text(error)})"
        )
    if found == _NETWORK_POLICY or _NETWORK_POLICY_TEXT.search(str(error)):
        return SnowflakeError(
            f"Snowflake lets {user} not in from this address: add it to "
            f"{settings.variable('allowed_ips')} and run {_BOOTSTRAP} ({_text(error)})"
        )
    if found == _ROLE_REFUSED:
        return SnowflakeError(
            f"{user} has no role {settings.role(who)}: {_BOOTSTRAP} grants it ({_text(error)})"
        )
    if found == _NO_SUCH_OBJECT:
        return SnowflakeError(
            f"{user} finds no database {settings.database} or warehouse "
            f"{settings.warehouse(who)}: {_BOOTSTRAP} makes both ({_text(error)})"
        )
    if is_transient(error):
        return _away(error, settings, resolves)
    return SnowflakeError(f"Snowflake refuses the login of {user}: {_text(error)}")


def _gives_it(who: SnowflakeUser) -> str:
    return "`alter user … set rsa_public_key_2`" if who == "admin" else _BOOTSTRAP


def _unknown_account(settings: SnowflakeSettings) -> SnowflakeError:
    return SnowflakeError(
        f"there is no account {settings.account_name()} at {settings.address()}: expected "
        f"{settings.variable('account')} as <organisation>-<account>, which is `select "
        "current_organization_name() || '-' || current_account_name()`"
    )


def _away(
    error: Exception, settings: SnowflakeSettings, resolves: Callable[[str], bool]
) -> SnowflakeError:
    host = settings.address()
    if _cause(error) == errorcode.ER_RETRYABLE_CODE:
        return SnowflakeAwayError(
            f"Snowflake at {host} answers with errors alone: try again later (status.snowflake.com)"
        )
    if resolves(host):
        return SnowflakeAwayError(
            f"Snowflake cannot be reached: nothing answers at {host}:{settings.port} (a firewall, "
            "a proxy?)"
        )
    if resolves(_KNOWN_HOST):
        return _unknown_account(settings)
    return SnowflakeAwayError(
        f"Snowflake cannot be reached: no name is resolved here, {host} as little as "
        f"{_KNOWN_HOST} (is there a network?)"
    )


def _cause(error: Exception) -> int:
    cause = error.__cause__ or error.__context__
    return code(cause) if isinstance(cause, errors.Error) else code(error)


def _text(error: errors.Error) -> str:
    """Return what the server says, on one line, without the place that the connector adds."""
    text = " ".join(str(error.msg or error).split())
    return re.sub(r"^(\d+ \(\w+\): )?Failed to connect to DB: [^ ]+:\d+\. ", r"\1", text)
