"""What each user may do, tried; and what it may not, tried as well.

A statement that ought to be refused changes nothing where it is not. What it names somebody else
may see, and does, so that none is refused for a name that is nowhere.
"""

from dataclasses import dataclass

from snowflake.connector import Error, SnowflakeConnection

from ingestion.settings import SnowflakeSettings, SnowflakeUser
from ingestion.snowflake import diagnosis
from ingestion.snowflake.connection import connection

# "does not exist or not authorized", twice, and "insufficient privileges".
_REFUSALS = frozenset({2003, 2043, 3001})
_NO_RIGHT = "42501"
_TABLES = "select count(*) from "


@dataclass(frozen=True)
class Trial:
    """A statement of a user, and whether it has to be refused; ``$`` is the database's name."""

    who: SnowflakeUser
    statement: str
    is_refused: bool

    def sql(self, settings: SnowflakeSettings) -> str:
        """Return the statement for this database."""
        return self.statement.replace("$", settings.database)


ALLOWED: dict[SnowflakeUser, tuple[str, ...]] = {
    "loader": (
        f"{_TABLES}common.bars_raw",
        f"{_TABLES}common.bronze_stock_quotes_raw",
        f"{_TABLES}ops.load_ledger",
    ),
    "transformer": (
        f"{_TABLES}common.bars_raw",
        f"{_TABLES}silver.silver_bars",
        f"{_TABLES}gold_candidate.gold_kpi",
        f"{_TABLES}ops.builds",
    ),
    "reader": (f"{_TABLES}gold.gold_kpi", f"{_TABLES}gold.gold_candlestick"),
}
REFUSED: dict[SnowflakeUser, tuple[str, ...]] = {
    "loader": (
        f"{_TABLES}gold.gold_kpi",
        f"{_TABLES}silver.silver_bars",
        f"{_TABLES}ops.builds",
        "delete from common.bars_raw where false",
        "update common.bars_raw set symbol = symbol where false",
        "update ops.load_ledger set row_count = row_count where false",
        "delete from ops.load_ledger where false",
        "alter table common.bars_raw add column of_mine integer",
        "create table common.of_mine (a integer)",
        "create schema of_mine",
        "grant select on table common.bars_raw to role $_READER",
        "use role $_TRANSFORMER",
        "use role accountadmin",
        "use warehouse $_TRANSFORMER_WH",
    ),
    "transformer": (
        f"{_TABLES}ops.load_ledger",
        "insert into common.bars_raw select * from common.bars_raw where false",
        "update common.bars_raw set symbol = symbol where false",
        "delete from common.bars_raw where false",
        "delete from common.bronze_stock_quotes_raw where false",
        "create table common.of_mine (a integer)",
        # Its own tables, in schemas with managed access.
        "grant select on table ops.builds to role $_READER",
        "grant select on table gold_candidate.gold_kpi to role $_READER",
        "use role $_LOADER",
        "use role accountadmin",
        "use warehouse $_LOADER_WH",
    ),
    "reader": (
        f"{_TABLES}common.bars_raw",
        f"{_TABLES}common.bronze_stock_quotes_raw",
        f"{_TABLES}silver.silver_bars",
        f"{_TABLES}gold_candidate.gold_kpi",
        f"{_TABLES}ops.load_ledger",
        f"{_TABLES}ops.builds",
        "delete from gold.gold_kpi where false",
        "create table gold.of_mine (a integer)",
        "create schema of_mine",
        "grant select on table gold.gold_kpi to role public",
        "use role $_TRANSFORMER",
        "use role accountadmin",
        "use warehouse $_LOADER_WH",
    ),
}
TRIALS = [
    Trial(who, statement, is_refused)
    for listed, is_refused in ((ALLOWED, False), (REFUSED, True))
    for who, statements in listed.items()
    for statement in statements
]


def played(settings: SnowflakeSettings, trials: list[Trial]) -> list[str]:
    """Log in as each trial's user, try its statements, and return what was not as it should be.

    Raises:
        SnowflakeError: a login is refused, or something fails for another reason than rights.
    """
    wrong = []
    for who in dict.fromkeys(trial.who for trial in trials):
        with connection(settings, who, "live") as session:
            for trial in (one for one in trials if one.who == who):
                sql = trial.sql(settings)
                refusal = _refusal(session, sql)
                if trial.is_refused and refusal is None:
                    wrong.append(f"{settings.user(who)} may: {sql}")
                elif not trial.is_refused and refusal is not None:
                    wrong.append(f"{settings.user(who)} may not: {sql} ({refusal})")
    return wrong


def seen_schemas(settings: SnowflakeSettings) -> set[str]:
    """Return the schemas in which READER sees tables or views.

    Raises:
        SnowflakeError: the login is refused, or the question.
    """
    statement = (
        "select distinct lower(table_schema) from information_schema.tables "
        "where table_schema <> 'INFORMATION_SCHEMA'"
    )
    with connection(settings, "reader", "live") as session, session.cursor() as cursor:
        try:
            cursor.execute(statement)
            return {str(schema) for (schema,) in cursor.fetchall()}
        except Error as error:
            raise diagnosis.of_statement(error, "tables of READER") from error


def _refusal(session: SnowflakeConnection, sql: str) -> Error | None:
    """Run a statement; return the refusal for want of rights, if it is one."""
    with session.cursor() as cursor:
        try:
            cursor.execute(sql)
        except Error as error:
            if diagnosis.code(error) in _REFUSALS or error.sqlstate == _NO_RIGHT:
                return error
            raise diagnosis.of_statement(error, sql) from error
    return None
