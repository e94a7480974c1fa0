"""COPY of named files with metadata columns, PUT of many files, REMOVE: fakesnow has none of them.

A COPY that names its files is run here, every other one by fakesnow. Buckets are folders: the stage
``s3://bronze/`` is the folder ``bronze`` below the one that ``EMULATOR_S3`` names.
"""

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection
from fakesnow.transforms import stage
from fakesnow.transforms.file_format import lookup_file_format
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

BUCKETS = "EMULATOR_S3"
_REMOVE = re.compile(r"\s*remove\s+@(?P<stage>[\w.]+)/(?P<path>\S*)\s*", re.IGNORECASE)
_READERS = {
    "JSON": "read_json_objects({}, format = 'newline_delimited')",
    "PARQUET": "read_parquet({}, hive_partitioning = false)",
}
_HISTORY = "_fs_information_schema._fs_load_history"


@dataclass(frozen=True)
class _Copy:
    """A COPY statement's parts; ``values`` are the columns and what goes into each."""

    catalog: str
    schema: str
    table: str
    values: Mapping[str, str]
    by_name: bool
    reader: str
    root: Path
    files: Sequence[str]
    skips_files: bool


def copying(copy_into: Callable[..., str]) -> Callable[..., str]:
    """Run statements that name files of a stage; leave the others to fakesnow."""

    def copy(
        db: DuckDBPyConnection, database: str, schema: str, statement: exp.Copy, *rest: Any
    ) -> str:
        options = {param.this.name.upper(): param for param in statement.args.get("params", [])}
        if "FILES" not in options or statement.args["files"][0].find(exp.Var) is None:
            return copy_into(db, database, schema, statement, *rest)
        found = _parts(db, database, schema, statement, options)
        answer = _answer([_load(db, found, name) for name in found.files])
        db.execute(answer)
        return answer

    return copy


def remove(command: str, database: str) -> bool:
    """Remove a stage's folder if that is what the command says."""
    found = _REMOVE.fullmatch(command)
    if found is None:
        return False
    parts = stage.parts_from_var(found["stage"], database, None)
    shutil.rmtree(stage.internal_dir(".".join(parts), found["path"]), ignore_errors=True)
    return True


def upload_place(_: object, __: object, put: dict[str, Any]) -> dict[str, Any]:
    """Let the client write into the stage's folder: over HTTP it can send one file alone."""
    info: dict[str, Any] = put["stageInfo"]
    Path(info["location"]).mkdir(parents=True, exist_ok=True)
    return info


def _parts(
    db: DuckDBPyConnection,
    database: str,
    schema: str,
    copy: exp.Copy,
    options: Mapping[str, exp.CopyParameter],
) -> _Copy:
    target, source = copy.this.find(exp.Table), copy.args["files"][0]
    if isinstance(source, exp.Subquery):
        columns = [column.name for column in copy.this.expressions]
        values = dict(zip(columns, map(_selected, source.this.expressions), strict=True))
    else:
        included = options.get("INCLUDE_METADATA")
        pairs = included.find_all(exp.EQ) if included else []
        values = {pair.this.name: "?" for pair in pairs}
    on_error = options.get("ON_ERROR")
    return _Copy(
        target.catalog or database,
        target.db or schema,
        target.name,
        values,
        "MATCH_BY_COLUMN_NAME" in options,
        _READERS[_type(db, database, schema, options["FILE_FORMAT"])],
        _root(db, database, schema, source.find(exp.Var).name),
        [literal.name for literal in options["FILES"].find_all(exp.Literal)],
        on_error is not None and on_error.expression.name.upper() == "SKIP_FILE",
    )


def _type(
    db: DuckDBPyConnection, database: str, schema: str, file_format: exp.CopyParameter
) -> str:
    options = {p.name.upper(): p.args["value"].name for p in file_format.expressions}
    if name := options.get("FORMAT_NAME"):
        options = lookup_file_format(db, name, database, schema)
    return str(options["TYPE"]).upper()


def _selected(value: exp.Expression) -> str:
    """Return what `$1` and `metadata$filename` are: the document, and a parameter."""
    return "json" if isinstance(value, exp.Parameter) else "?"


def _root(db: DuckDBPyConnection, database: str, schema: str, name: str) -> Path:
    named, _, path = name.removeprefix("@").partition("/")
    parts = stage.parts_from_var(named, database, schema)
    found = db.execute(
        "select url from _fs_global._fs_information_schema._fs_stages "
        "where database_name = ? and schema_name = ? and name = ?",
        parts,
    ).fetchone()
    if found is None:
        raise stage.not_found_error(".".join(parts))
    if not found[0]:
        return Path(stage.internal_dir(".".join(parts))) / path
    return Path(os.environ[BUCKETS]) / found[0].removeprefix("s3://") / path


def _load(db: DuckDBPyConnection, copy: _Copy, name: str) -> tuple[str, str, int, str | None]:
    path = copy.root / name
    history = f"{copy.catalog}.{_HISTORY}"
    place = [copy.schema, str(path), copy.table]
    known = f"select 1 from {history} where schema_name = ? and file_name = ? and table_name = ?"
    if db.execute(known, place).fetchone():
        return name, "LOAD_SKIPPED", 0, "File was loaded before."
    try:
        rows = _insert(db, copy, path)
    except (duckdb.Error, OSError) as error:
        if copy.skips_files:
            return name, "LOAD_FAILED", 0, str(error).partition("\n")[0]
        raise ProgrammingError(msg=str(error), errno=100069, sqlstate="22P02") from error
    db.execute(
        f"insert into {history} (schema_name, file_name, table_name) values (?, ?, ?)", place
    )
    return name, "LOADED", rows, None


def _insert(db: DuckDBPyConnection, copy: _Copy, path: Path) -> int:
    if not path.is_file():
        raise FileNotFoundError(f"Remote file '{path}' was not found.")
    table = f"{copy.catalog}.{copy.schema}.{copy.table}"
    reader = copy.reader.format(f"'{path}'")
    values = dict(copy.values)
    if copy.by_name:
        ours, theirs = _columns(db, table), _columns(db, reader)
        values |= {name: f'"{name}"' for name in theirs.keys() & ours.keys()}
    parameters = [_in_bucket(copy, path)] * list(values.values()).count("?")
    [(rows,)] = db.execute(
        f"insert into {table} ({', '.join(map(_quoted, values))}) "
        f"select {', '.join(values.values())} from {reader}",
        parameters,
    ).fetchall()
    return int(rows)


def _columns(db: DuckDBPyConnection, relation: str) -> dict[str, str]:
    found = db.execute(f"describe select * from {relation}").fetchall()
    return {name.upper(): kind for name, kind, *_ in found}


def _quoted(name: str) -> str:
    return f'"{name}"'


def _in_bucket(copy: _Copy, path: Path) -> str:
    """Return METADATA$FILENAME: the path in the bucket, or in the internal stage."""
    if stage.is_internal(str(path)):  # <root of all stages>/<database>/<schema>/<stage>/<path>
        return "/".join(path.relative_to(stage.LOCAL_BUCKET_PATH).parts[3:])
    return str(path.relative_to(os.environ[BUCKETS])).partition("/")[2]


def _answer(files: Sequence[tuple[str, str, int, str | None]]) -> str:
    columns = ("file", "status", "rows_loaded", "first_error")
    rows = exp.values(list(files), alias="t", columns=columns)
    return exp.select("*").from_(rows).sql(dialect="duckdb")
