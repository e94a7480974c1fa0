"""Whether an account is as bootstrap makes it: each service user logs in and is looked at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from snowflake.connector import Error, SnowflakeConnection

from ingestion.errors import SnowflakeError
from ingestion.settings import SnowflakeSettings, SnowflakeUser
from ingestion.snowflake import diagnosis, scripts
from ingestion.snowflake.connection import PARAMETERS, connection
from ingestion.snowflake.rights import Right

_PARAMETERS = "show parameters in user"
_SESSION = "select current_user(), current_role(), current_warehouse(), current_database()"
# What a role may do with what it has made itself.
_OWN = "ownership"
_MADE = {"create table": "table", "create view": "view", "create schema": "schema"}
# Made only where Snowflake may read the buckets itself.
_EXTERNAL = frozenset({"common.bronze_objects", "common.lake_files"})


@dataclass(frozen=True)
class Held:
    """A privilege that the account says a role has; ``place`` as in ``Right``."""

    privilege: str
    kind: str
    place: str

    def __str__(self) -> str:
        return f"{self.privilege} on {self.kind} {self.place}".strip()


def differences(
    settings: SnowflakeSettings, who: SnowflakeUser, rights: Sequence[Right], external: bool
) -> list[str]:
    """Log in as a service user and return what differs from what is expected, one line each.

    Future grants are not looked at: showing them needs more rights than a service user has.

    Raises:
        SnowflakeError: the login is refused, or a question is.
    """
    with connection(settings, who, "check") as session:
        found = _rows(session, _SESSION)[0]
        granted = _shown(session, f"show grants to role {settings.role(who)}")
        held = [_held(settings, row) for row in granted]
        # Not the session's own, which are set at each login.
        parameters = {row["key"]: row["value"] for row in _shown(session, _PARAMETERS)}
    names = ("user", "role", "warehouse", "database")
    expected = (
        settings.user(who), settings.role(who), settings.warehouse(who), settings.database,
    )  # fmt: skip
    lines = [
        f"{name}: expected {one}, found {other}"
        for name, one, other in zip(names, expected, found, strict=True)
        if one != other
    ]
    lines += _other_parameters(parameters)
    mine = [right for right in _named(settings, rights) if right.role == who.upper()]
    lines += [
        f"missing: {right.privilege} on {right.object}" for right in missing(mine, held, external)
    ]
    return lines + [f"not expected: {more}" for more in superfluous(mine, held)]


def missing(rights: Sequence[Right], held: Sequence[Held], external: bool) -> list[Right]:
    """Return the rights on single objects, the load's tables among them, that a role has not."""
    single = [one for right in rights for one in _single(right)]
    if not external:
        single = [right for right in single if right.place not in _EXTERNAL]
    return [r for r in single if Held(r.privilege, r.kind, r.place) not in held]


def superfluous(rights: Sequence[Right], held: Sequence[Held]) -> list[Held]:
    """Return what a role has beyond its rights; what it has made itself is its own."""
    more = [one for one in held if not any(_covers(right, one) for right in rights)]
    own = {one.place for one in held if one.kind == "schema" and one.privilege == _OWN}
    own -= {one.place for one in more}
    return [one for one in more if one.privilege != _OWN or one.place.partition(".")[0] not in own]


def _single(right: Right) -> Iterator[Right]:
    if right.kind == "all tables":
        for table in scripts.tables():
            if table.startswith(f"{right.place}."):
                yield replace(right, kind="table", place=table)
    elif not right.kind.startswith(("all ", "future ")):
        yield right


def _covers(right: Right, held: Held) -> bool:
    schema = held.place.partition(".")[0]
    if held.privilege == _OWN != right.privilege:
        makes = _MADE.get(right.privilege) == held.kind
        return makes and right.place in (schema, "")
    if right.privilege != held.privilege:
        return False
    if right.kind.startswith(("all ", "future ")):
        kind = right.kind.partition(" ")[2].removesuffix("s")
        return kind == held.kind and right.place == schema
    return (right.kind, right.place) == (held.kind, held.place)


def _held(settings: SnowflakeSettings, row: dict[str, str]) -> Held:
    kind = row["granted_on"].replace("_", " ").lower()
    name = row["name"].replace('"', "")
    if kind == "warehouse":
        return Held(row["privilege"].lower(), kind, _without_database(settings, name))
    place = name.removeprefix(settings.database).removeprefix(".").lower()
    return Held(row["privilege"].lower(), kind, place)


def _named(settings: SnowflakeSettings, rights: Sequence[Right]) -> Iterator[Right]:
    """Put the names of warehouses where rights.yml says which setting has them."""
    given = {
        settings.variable(field).upper(): getattr(settings, field)
        for field in scripts.LAYER_WAREHOUSES
    }
    for right in rights:
        if right.kind != "warehouse" or right.place not in given:
            yield right
        elif name := given[right.place]:
            yield replace(right, place=_without_database(settings, name.upper()))


def _without_database(settings: SnowflakeSettings, warehouse: str) -> str:
    return warehouse.removeprefix(f"{settings.database}_")


def _other_parameters(found: Mapping[str, str]) -> Iterator[str]:
    for name, value in PARAMETERS.items():
        if found.get(name, "").lower() != str(value).lower():
            yield f"{name}: expected {value} for the user, found {found.get(name, 'nothing')}"


def _shown(session: SnowflakeConnection, sql: str) -> Iterator[dict[str, str]]:
    with session.cursor() as cursor:
        try:
            cursor.execute(sql)
            rows = cursor.fetchall()
        except Error as error:
            raise diagnosis.of_statement(error, sql) from error
        names = [column.name.lower() for column in cursor.description]
    for row in rows:
        yield dict(zip(names, map(str, row), strict=True))


def _rows(session: SnowflakeConnection, sql: str) -> list[tuple[object, ...]]:
    with session.cursor() as cursor:
        try:
            cursor.execute(sql)
            rows: list[tuple[object, ...]] = cursor.fetchall()
        except Error as error:
            raise diagnosis.of_statement(error, sql) from error
    if not rows:
        raise SnowflakeError(f"{sql}: expected a row, found none")
    return rows
