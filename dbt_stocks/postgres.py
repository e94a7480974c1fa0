"""Tables of PostgreSQL as the contract wants them: types, keys, comments.

A table is changed in place, never made anew: so grants, and views that stand on it, stay. Nor is
its content ever rewritten (no type is altered, nothing truncated): a rewrite would empty the table
for whoever reads an older snapshot.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dashboards.contract import Column, Table

GOLD: Final = "gold"
_COLUMNS: Final = """
select
    c.relname,
    a.attname,
    format_type(a.atttypid, a.atttypmod),
    a.attnotnull,
    col_description(c.oid, a.attnum)
from pg_class as c
inner join pg_attribute as a on c.oid = a.attrelid
where
    c.relnamespace = to_regnamespace(%s)
    and c.relkind in ('r', 'p')
    and a.attnum > 0
    and not a.attisdropped
order by c.relname, a.attnum
"""
_KEYS: Final = """
select
    c.relname,
    con.conname,
    array_agg(a.attname::text order by k.place)
from pg_constraint as con
inner join pg_class as c on con.conrelid = c.oid
cross join unnest(con.conkey) with ordinality as k (attnum, place)
inner join pg_attribute as a on c.oid = a.attrelid and k.attnum = a.attnum
where con.contype = 'p' and c.relnamespace = to_regnamespace(%s)
group by c.relname, con.conname
"""
_COMMENTS: Final = """
select relname, obj_description(oid, 'pg_class')
from pg_class
where relnamespace = to_regnamespace(%s) and relkind in ('r', 'p')
"""


@dataclass(frozen=True)
class PgColumn:
    """A column: its type as PostgreSQL writes it."""

    type: str
    not_null: bool
    comment: str | None


@dataclass(frozen=True)
class PgTable:
    """A table; ``constraint`` is the name of its primary key."""

    columns: Mapping[str, PgColumn]
    key: tuple[str, ...]
    comment: str | None
    constraint: str | None = None


def wanted(table: Table) -> PgTable:
    """Return what the contract wants; views of gold are tables here."""
    columns = {
        name: PgColumn(
            column.type_in("postgres"),
            not column.nullable or name in table.key,
            _comment(column),
        )
        for name, column in table.columns.items()
    }
    return PgTable(columns, tuple(table.key), table.description)


def found(cursor: Any, schema: str = GOLD) -> dict[str, PgTable]:  # noqa: ANN401 - psycopg2's
    """Return the tables that a schema has; none where it is not there."""
    columns: dict[str, dict[str, PgColumn]] = {}
    cursor.execute(_COLUMNS, [schema])
    for table, name, *rest in cursor.fetchall():
        columns.setdefault(table, {})[name] = PgColumn(*rest)
    cursor.execute(_KEYS, [schema])
    keys = {table: (constraint, tuple(key)) for table, constraint, key in cursor.fetchall()}
    cursor.execute(_COMMENTS, [schema])
    tables = {}
    for table, comment in cursor.fetchall():
        constraint, key = keys.get(table, (None, ()))
        tables[table] = PgTable(columns.get(table, {}), key, comment, constraint)
    return tables


def creation(name: str, table: PgTable) -> str:
    """Return the statement that makes a table."""
    parts = [_definition(column, table.columns[column]) for column in table.columns]
    parts.append(f"primary key ({listed(table.key)})")
    return f"create table {named(name)} ({', '.join(parts)})"


def alterations(name: str, now: PgTable, then: PgTable) -> list[str]:
    """Return the statements, in order, that give an empty table its columns and its key.

    A column of another type is dropped and added. Changed columns come to the end: the order of
    columns is no promise.
    """
    gone = [
        name
        for name, column in now.columns.items()
        if name not in then.columns or column.type != then.columns[name].type
    ]
    new = [c for c in then.columns if c in gone or c not in now.columns]
    rekeyed = now.key != then.key or bool(set(gone) & set(now.key))
    changes = []
    if rekeyed and now.constraint:
        changes.append(f"drop constraint {quoted(now.constraint)}")
    changes += [f"drop column {quoted(column)}" for column in gone]
    changes += [f"add column {_definition(column, then.columns[column])}" for column in new]
    for column in then.columns:
        if column in new:
            continue
        if now.columns[column].not_null != then.columns[column].not_null:
            verb = "set" if then.columns[column].not_null else "drop"
            changes.append(f"alter column {quoted(column)} {verb} not null")
    if rekeyed:
        changes.append(f"add primary key ({listed(then.key)})")
    return [f"alter table {named(name)} {change}" for change in changes]


def comments(name: str, now: PgTable | None, then: PgTable) -> Iterator[tuple[str, str | None]]:
    """Yield the statements that comment what is commented otherwise, each with its text."""
    if now is None or now.comment != then.comment:
        yield f"comment on table {named(name)} is %s", then.comment
    for column, want in then.columns.items():
        have = now.columns.get(column) if now else None
        if have is None or have.comment != want.comment or have.type != want.type:
            yield f"comment on column {named(name)}.{quoted(column)} is %s", want.comment


def named(table: str) -> str:
    """Return a table of gold as SQL names it."""
    return f"{GOLD}.{quoted(table)}"


def quoted(name: str) -> str:
    """Return a name as SQL text: some of ours (date, rank) are words of SQL."""
    return '"' + name.replace('"', '""') + '"'


def listed(names: Iterable[str]) -> str:
    """Return names as SQL lists them."""
    return ", ".join(map(quoted, names))


def _definition(name: str, column: PgColumn) -> str:
    return f"{quoted(name)} {column.type}{' not null' if column.not_null else ''}"


def _comment(column: Column) -> str:
    if column.unit is None:
        return column.description
    return f"{column.description} Unit: {column.unit}."
