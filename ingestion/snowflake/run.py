"""Scripts at Snowflake: statement by statement, told as they go."""

import time
from collections.abc import Callable, Sequence

from snowflake.connector import Error, SnowflakeConnection

from ingestion.snowflake import diagnosis
from ingestion.snowflake.scripts import Script

Say = Callable[[str], None]
_SHOWN = 78


def run(session: SnowflakeConnection, scripts: Sequence[Script], say: Say) -> int:
    """Run every statement in turn and return their number.

    Raises:
        SnowflakeError: one is refused; the text says which. Those before it stay: run it again.
    """
    listed = [(script.name, statement) for script in scripts for statement in script.statements()]
    with session.cursor() as cursor:
        for number, (name, statement) in enumerate(listed, start=1):
            line = " ".join(statement.split())
            started = time.monotonic()
            try:
                cursor.execute(statement)
            except Error as error:
                raise diagnosis.of_statement(error, f"{name}: {_cut(line)}") from error
            spent = time.monotonic() - started
            say(f"[{number:>3}/{len(listed)}] {name:<24} {spent:>5.1f} s  {_cut(line)}")
    return len(listed)


def _cut(line: str) -> str:
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
