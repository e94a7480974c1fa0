"""The bootstrap's SQL as Snowflake reads it: every statement has a kind, or is refused.

sqlglot's Snowflake dialect reads most of it. What it gives back unread (`Command`) must match one
of the forms below in full: a word too many, or a statement that nobody thought of, is an error.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from ingestion.snowflake.rights import Right

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of each Command

DATABASE = "STOCKS_MDS"
# What is ours begins with the database's name; teardown is of a scratch one.
_NAME = rf"(?:{DATABASE}|SCRATCH_X)_[A-Z_]+"
_PLACE = rf"{DATABASE}\.[a-z_]+"
_TEXT = r"'[^']*'"
_TEXTS = rf"\({_TEXT}(?:, {_TEXT})*\)"
_OWNER = re.compile(
    rf"grant ownership on schema {DATABASE}\.(?P<schema>[a-z_]+) to role "
    rf"{DATABASE}_(?P<role>[A-Z]+) copy current grants"
)
_COMMANDS = {
    "create role": rf"create role if not exists {_NAME} comment = {_TEXT}",
    "grant role": rf"grant role {_NAME} to (?:role sysadmin|user {_NAME})",
    "create schema": rf"create schema if not exists {_PLACE} with managed access comment = {_TEXT}",
    "alter schema": rf"alter schema {_PLACE} "
    r"(?:enable managed access|set data_retention_time_in_days = 0)",
    "alter stage": rf"alter stage {_PLACE}\.[a-z_]+ set url = {_TEXT} "
    rf"storage_integration = {_NAME} file_format = \(format_name = {_TEXT}\)",
    "create resource monitor": rf"create resource monitor if not exists {_NAME} with "
    r"credit_quota = \d+ frequency = monthly start_timestamp = immediately triggers"
    r"(?: on \d+ percent do (?:notify|suspend|suspend_immediate))+",
    "alter resource monitor": rf"alter resource monitor {_NAME} set credit_quota = \d+",
    "alter warehouse": rf"alter warehouse {_NAME} set"
    r"(?: (?:auto_suspend|statement_timeout_in_seconds|statement_queued_timeout_in_seconds) = \d+"
    rf"| auto_resume = true| resource_monitor = {_NAME})+",
    "alter storage integration": rf"alter storage integration {_NAME} set "
    rf"storage_aws_role_arn = {_TEXT} storage_allowed_locations = {_TEXTS}",
    "create network policy": rf"create network policy if not exists {_NAME} "
    rf"allowed_ip_list = {_TEXTS}",
    "alter network policy": rf"alter network policy {_NAME} set allowed_ip_list = {_TEXTS}",
    "create user": rf"create user if not exists {_NAME} type = service comment = {_TEXT}",
    "alter user": rf"alter user {_NAME} set default_role = {_NAME} default_secondary_roles = \(\) "
    rf"default_warehouse = {_NAME} default_namespace = {_PLACE} rsa_public_key = {_TEXT} "
    rf"network_policy = {_NAME} timezone = 'UTC' timestamp_type_mapping = 'TIMESTAMP_NTZ' "
    r"week_start = 0 quoted_identifiers_ignore_case = false"
    r"(?: statement_timeout_in_seconds = \d+ abort_detached_query = true)?",
    "grant ownership": _OWNER.pattern,
    "drop user": rf"drop user if exists {_NAME}",
    "drop network policy": rf"drop network policy if exists {_NAME}",
    "drop resource monitor": rf"drop resource monitor if exists {_NAME}",
}
_MANY = re.compile(
    rf"grant (?P<privileges>[a-z, ]+) on (?P<reach>all|future) (?P<kinds>[a-z ]+) in schema "
    rf"{DATABASE}\.(?P<schema>[a-z_]+) to role {DATABASE}_(?P<role>[A-Z]+)"
)
# The one row of the lock, once.
_LOCK = (
    f"insert into {DATABASE}.ops.load_lock (holder, taken_at) select 'nobody', current_timestamp() "
    f"where not exists (select holder from {DATABASE}.ops.load_lock)"
)
_CREATED = {
    "WAREHOUSE",
    "DATABASE",
    "SCHEMA",
    "FILE FORMAT",
    "STAGE",
    "STORAGE INTEGRATION",
    "TABLE",
}
_DROPPED = {"DATABASE", "WAREHOUSE", "INTEGRATION", "ROLE"}
# What ROLE and INTEGRATION of the account's own are granted; no right of our roles.
_OF_THE_ACCOUNT = f"grant usage on integration {DATABASE}_STORAGE to role sysadmin"


class UnknownStatementError(Exception):
    """A statement of a form that is not listed; the text is the statement."""


@dataclass(frozen=True)
class Statement:
    """A statement of the bootstrap: on one line, and of which kind it is."""

    sql: str
    kind: str
    tree: exp.Expr

    @property
    def is_repeatable(self) -> bool:
        """Whether it says itself that it may be run again."""
        if self.kind.startswith(("create ", "drop ")):
            return bool(re.search(r"\bif (?:not )?exists\b|^create or alter\b", self.sql))
        return True


def read(sql: str) -> Statement:
    """Tell what a statement is.

    Raises:
        UnknownStatementError: it has no form that is listed here.
    """
    line = " ".join(sql.split())
    tree = sqlglot.parse_one(line, dialect="snowflake")
    return Statement(line, _kind(line, tree), tree)


def rights(statement: Statement) -> Iterator[Right]:
    """Return the rights that a statement gives to our roles."""
    if found := _OWNER.fullmatch(statement.sql):
        yield Right(found["role"], "schema", found["schema"], "ownership")
        return
    if statement.kind != "grant privileges" or statement.sql == _OF_THE_ACCOUNT:
        return
    if found := _MANY.fullmatch(statement.sql):
        kind = f"{found['reach']} {found['kinds']}"
        for privilege in found["privileges"].split(", "):
            yield Right(found["role"], kind, found["schema"], privilege)
        return
    grant = statement.tree
    role = _within(grant.args["principals"][0].name, f"{DATABASE}_")
    kind, place = grant.args["kind"].lower(), _place(grant.args["securable"])
    for privilege in grant.args["privileges"]:
        yield Right(role, kind, place, privilege.name.lower())


def _kind(line: str, tree: exp.Expr) -> str:
    match tree:
        case exp.Use() if tree.args["kind"].name.upper() == "ROLE":
            return "use role"
        case exp.Create() if tree.kind in _CREATED:
            is_external = tree.kind == "STAGE" and " url = " in line
            return "create external stage" if is_external else f"create {tree.kind.lower()}"
        case exp.Alter() if tree.args["kind"] == "TABLE" and " add column if not exists " in line:
            return "alter table"
        case exp.Insert() if line == _LOCK:
            return "insert row"
        case exp.Drop() if tree.kind in _DROPPED:
            return f"drop {tree.kind.lower()}"
        case exp.Grant() if _is_plain(tree):
            return "grant privileges"
        case exp.Command():
            return _command(line)
    raise UnknownStatementError(line)


def _command(line: str) -> str:
    for kind, form in _COMMANDS.items():
        if re.fullmatch(form, line):
            return kind
    if _MANY.fullmatch(line):
        return "grant privileges"
    raise UnknownStatementError(line)


def _is_plain(grant: exp.Grant) -> bool:
    """Whether it is to one role, and does not let that role pass it on."""
    principals = grant.args["principals"]
    to_role = len(principals) == 1 and principals[0].args.get("kind") == "ROLE"
    return to_role and not grant.args.get("grant_option")


def _place(securable: exp.Table) -> str:
    name = securable.sql("snowflake")
    if name == DATABASE:
        return ""
    if name.startswith(f"{DATABASE}."):
        return name.removeprefix(f"{DATABASE}.")
    return _within(name, f"{DATABASE}_")


def _within(name: str, prefix: str) -> str:
    """Return a name without what makes it ours; nothing is granted on what is not."""
    if not name.startswith(prefix):
        raise UnknownStatementError(name)
    return name.removeprefix(prefix)
