"""``ops.model_state``: the load batches that each table's rows cover, and the rebuild they are of.

dbt's hooks write it with the rows (``macros/model_state.sql``, which also says what the columns
mean). Here it is kept with what is published, put back with it, and judged before that.
"""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from dbt_stocks import catalog
from dbt_stocks.catalog import Session
from ingestion.errors import BuildError

# As the macro `create_model_state` has it: whoever comes first makes it.
DDL: Final = """
create table if not exists ops.model_state (
    schema_name varchar not null,
    model_name varchar not null,
    covered_batch bigint,
    generation bigint not null,
    rebuilt_since varchar,
    content_hash varchar,
    build_id varchar not null,
    kept_for varchar not null
)
"""
_COLUMNS: Final = (
    "schema_name, model_name, covered_batch, generation, rebuilt_since, content_hash, build_id"
)
_NAMED: Final = 5
# From a table to the tables that it stands on, views passed through.
Parents = Mapping[str, Collection[str]]


class _State(NamedTuple):
    covered_batch: int | None
    generation: int


def keep(db: Session, schema: str, build_id: str, builds: Collection[str]) -> None:
    """Keep a schema's state under the build that shows its rows; forget that of other builds.

    ``builds``: whose state is kept.
    """
    others = [one for one in builds if one != build_id]
    db.execute(
        f"delete from ops.model_state where kept_for not in ({_marks(['', *others])})",  # noqa: S608 - names and marks of ours
        ["", *others],
    )
    db.execute(
        f"insert into ops.model_state ({_COLUMNS}, kept_for) select {_COLUMNS}, ? "  # noqa: S608 - names and marks of ours
        "from ops.model_state where kept_for = '' and schema_name = ?",
        [build_id, schema],
    )


def restore(db: Session, schema: str, build_id: str | None, tables: Collection[str]) -> None:
    """Put back the state of tables that have a build's rows again; the schema has no others."""
    db.execute("delete from ops.model_state where kept_for = '' and schema_name = ?", [schema])
    if tables:
        db.execute(
            f"insert into ops.model_state ({_COLUMNS}, kept_for) select {_COLUMNS}, '' "  # noqa: S608 - names and marks of ours
            "from ops.model_state where kept_for = ? and schema_name = ? "
            f"and model_name in ({_marks(tables)})",
            [build_id, schema, *tables],
        )


def require_one(db: Session, parents: Parents, raw: Mapping[str, Collection[str]]) -> int | None:
    """Return the load batch that all tables cover, None where none of them reads loaded rows.

    ``raw``: the raw tables that each table's rows come from; what they hold the table must cover.

    Raises:
        BuildError: some do not cover what has been loaded, or stand on rows that are there no more.
    """
    wrong = _wrong(db, parents, raw)
    faults = [f"{_causes(names, parents)} {what}" for what, names in wrong.items() if names]
    if faults:
        raise BuildError(
            f"expected all models to be of the same load batches, found {'; '.join(faults)}; "
            "gold unchanged: run `python -m dbt_stocks build`, all of it"
        )
    covered = (state.covered_batch for name, state in _now(db).items() if name in parents)
    return max((batch for batch in covered if batch is not None), default=None)


def unfinished(
    db: Session, parents: Parents, raw: Mapping[str, Collection[str]]
) -> set[str] | None:
    """Return the built tables that ``require_one`` would refuse; None where some are not built."""
    if parents.keys() - _now(db).keys():
        return None
    return {name for names in _wrong(db, parents, raw).values() for name in names}


def rebuilt(db: Session, build_id: str) -> list[str]:
    """Return the models that a build has computed anew without being asked to, and why."""
    rows = db.execute(
        "select model_name, rebuilt_since from ops.model_state "
        "where kept_for = '' and build_id = ? and rebuilt_since is not null order by model_name",
        [build_id],
    ).fetchall()
    return [f"{model} was rebuilt in full: {reason}" for model, reason in rows]


def _wrong(
    db: Session, parents: Parents, raw: Mapping[str, Collection[str]]
) -> dict[str, Collection[str]]:
    found = {name: state for name, state in _now(db).items() if name in parents}
    behind = _behind(found, _loaded(db, raw))
    return {
        "not built": parents.keys() - found.keys(),
        f"without load batch {max(behind.values(), default=None)}": behind,
        "of before a rebuild of what they read": _outlived(found, parents),
    }


def _now(db: Session) -> dict[str, _State]:
    rows = db.execute(
        "select model_name, covered_batch, generation from ops.model_state "
        "where kept_for = '' order by model_name"
    ).fetchall()
    return {name: _State(batch, generation) for name, batch, generation in rows}


def _loaded(db: Session, raw: Mapping[str, Collection[str]]) -> dict[str, int]:
    """Return the newest load batch of the raw tables that each table's rows come from."""
    listed = sorted({table for tables in raw.values() for table in tables})
    selects = [f"select '{table}', coalesce(max(batch_id), 0) from {table}" for table in listed]  # noqa: S608 - names of the manifest
    newest = dict(catalog.ask_all(db, selects))
    return {name: max((newest[t] for t in tables), default=0) for name, tables in raw.items()}


def _behind(found: Mapping[str, _State], loaded: Mapping[str, int]) -> dict[str, int]:
    batches = {name: state.covered_batch for name, state in found.items()}
    return {
        name: loaded[name]
        for name, batch in batches.items()
        if batch is not None and batch < loaded.get(name, 0)
    }


def _outlived(found: Mapping[str, _State], parents: Parents) -> set[str]:
    return {
        name
        for name, state in found.items()
        if any(found[p].generation > state.generation for p in parents[name] if p in found)
    }


def _causes(names: Collection[str], parents: Parents) -> str:
    """Return the first few of models that have a fault, but not from one that they read."""
    causes = sorted(name for name in names if not set(parents[name]) & set(names))
    shown = causes[:_NAMED]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" for _ in values)
