"""What fakesnow lacks of Snowflake and dbt needs, put into it before its server starts.

Each rule stands for something that Snowflake does and the emulator does not; README.md lists them.
SQL that Snowflake would refuse gets no rule here: that is mended in the models.
"""

import json
import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import fakesnow.arrow
import fakesnow.cursor
import fakesnow.server
import fakesnow.transforms
import pyarrow as pa
from fakesnow.cursor import FakeSnowflakeCursor
from snowflake.connector.errors import Error, ProgrammingError
from sqlglot import Expr, exp
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.emulator import copying, schemas

# Answered with success and not executed. Comments may stand in front: dbt sends some.
_BEFORE = r"(?:\s|--[^\n]*\n|/\*[\s\S]*?\*/)*"
NOT_EXECUTED = [
    # Transactions: a MERGE inside one fails, since it writes to two DuckDB databases.
    rf"{_BEFORE}(?:begin|commit|rollback)\b",
    # Rights, compute, session parameters: DuckDB has none of them. A database it cannot drop.
    rf"{_BEFORE}(?:grant|revoke)\b",
    rf"{_BEFORE}(?:create|alter|drop)\s+(?:or\s+replace\s+)?(?:warehouse|role|user)\b",
    rf"{_BEFORE}(?:create|alter|drop)\s+"
    r"(?:resource\s+monitor|network\s+policy|(?:storage\s+)?integration)\b",
    # What a stage or a schema is set to, beside its name.
    rf"{_BEFORE}alter\s+stage\b",
    rf"{_BEFORE}alter\s+schema\s+\S+\s+(?:set|enable)\b",
    rf"{_BEFORE}(?:alter\s+session|use\s+role|drop\s+database)\b",
]
_SHOWN_WAREHOUSE = re.compile(r"\s*show\s+warehouses\s+like\s+'(\w+)'\s*", re.IGNORECASE)
_LOCKING = re.compile(rf"{_BEFORE}(?:merge|update)\b", re.IGNORECASE)
_ONE_AT_A_TIME = threading.Lock()
_REFUSED = {"errno": 1003, "sqlstate": "42000"}
_QUERIES = "/queries/v1/query-request"
_JSON_TYPES = {
    "BIGINT": "INTEGER",
    "UBIGINT": "INTEGER",
    "NULL": "NULL_VALUE",
}


def install() -> None:
    """Change fakesnow in this process; to be called once, before its server starts."""
    fakesnow.server.shared_fs.nop_regexes = NOT_EXECUTED
    fakesnow.arrow.timestamp_to_sf_struct = _with_nulls(fakesnow.arrow.timestamp_to_sf_struct)
    # Sums stay exact: the emulator makes doubles of them, since Snowflake sums texts too.
    fakesnow.transforms.numeric_agg_implicit_cast = lambda expression: expression
    fakesnow.transforms.create_clone = _replacing(fakesnow.transforms.create_clone)
    fakesnow.cursor.parse_one = _adapting(fakesnow.cursor.parse_one)
    fakesnow.cursor.copy_into = copying.copying(fakesnow.cursor.copy_into)
    fakesnow.server.gcs_stage_info = copying.upload_place
    FakeSnowflakeCursor.execute = _refusing(FakeSnowflakeCursor.execute)
    fakesnow.server.app.router.routes[:] = [
        Route(_QUERIES, _answer, methods=["POST"]) if route.path == _QUERIES else route
        for route in fakesnow.server.routes
    ]


def is_passed_over(sql: str) -> bool:
    """Return whether a statement is answered and not executed."""
    return any(re.match(pattern, sql, re.IGNORECASE) for pattern in NOT_EXECUTED)


def adapt(expression: Expr) -> Expr:
    """Return the statement as DuckDB can run it, meaning what Snowflake means by it."""
    for kind, rule in _RULES.items():
        for node in list(expression.find_all(kind)):
            rule(node)
    return expression


def _adapt_create(create: exp.Create) -> None:
    _keep_temporary_table(create)
    _drop_order(create)


def _drop_order(create: exp.Create) -> None:
    """Take a clustered table's rows as they come: dbt writes `select * from (…) order by (keys)`.

    With columns declared before it, the emulator asks DuckDB for that star's columns in another
    dialect than DuckDB's. A table has no order.
    """
    query = create.expression and create.expression.unnest()
    if not isinstance(query, exp.Select) or not query.is_star or not query.args.get("order"):
        return
    inner = query.args["from_"].this
    if isinstance(inner, exp.Subquery) and not inner.alias:
        create.set("expression", inner.unnest())


def _keep_temporary_table(create: exp.Create) -> None:
    """Make a temporary table with a schema a plain one: DuckDB has them in a schema of their own.

    dbt names its intermediate tables so, and drops them itself.
    """
    table, properties = create.this.find(exp.Table), create.args.get("properties")
    if table is None or not table.db or properties is None:
        return
    kept = [p for p in properties.expressions if not isinstance(p, exp.TemporaryProperty)]
    create.set("properties", exp.Properties(expressions=kept) if kept else None)


def _qualify_inserted_values(merge: exp.Merge) -> None:
    """Name the source in `when not matched then insert (…) values (a, b)`.

    Snowflake takes a bare column there for the source's; the emulator's own form of MERGE finds it
    in both tables.
    """
    source = merge.args["using"].alias_or_name
    for when in merge.args["whens"].expressions:
        then = when.args.get("then")
        if isinstance(then, exp.Insert):
            for column in then.expression.find_all(exp.Column):
                if not column.table:
                    column.set("table", exp.to_identifier(source))


def _name_type(typeof: exp.Typeof) -> None:
    """Give Snowflake's name for the type of a VARIANT, which is JSON here."""
    kind = exp.func("json_type", typeof.this.copy())
    case = exp.Case(this=kind)
    for name, theirs in _JSON_TYPES.items():
        case = case.when(exp.Literal.string(name), exp.Literal.string(theirs))
    typeof.replace(case.else_(kind.copy()))


def _trim_characters(trim: exp.Trim) -> None:
    """Keep the characters that `rtrim(text, ',')` names: they are lost unless a text is trimmed."""
    if trim.expression:
        trim.set("this", exp.cast(trim.this.copy(), exp.DataType.Type.VARCHAR))


def _try_timestamp(cast: exp.TryCast) -> None:
    """Keep a `try_cast` to a timestamp one that tries; by DuckDB's other name it is left alone."""
    if cast.to.is_type(exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ):
        cast.set("to", exp.DataType(this=exp.DataType.Type.DATETIME))


def _check_json(check: exp.CheckJson) -> None:
    """Say what keeps a text from being JSON; Snowflake says it in more words."""
    valid = exp.func("json_valid", check.this.copy())
    check.replace(exp.Case().when(valid, exp.Null()).else_(exp.Literal.string("no JSON")))


def _no_transaction(function: exp.CurrentTransaction) -> None:
    function.replace(exp.Null())


_RULES: dict[type[Expr], Callable[[Any], None]] = {
    exp.Create: _adapt_create,
    exp.Merge: _qualify_inserted_values,
    exp.Typeof: _name_type,
    exp.Trim: _trim_characters,
    exp.TryCast: _try_timestamp,
    exp.CheckJson: _check_json,
    exp.CurrentTransaction: _no_transaction,
}


def _with_nulls(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Send a NULL timestamp as NULL, and not as 1970."""

    def converting(times: Any) -> Any:
        made = convert(times)
        fields = [made.type.field(index) for index in range(made.type.num_fields)]
        parts = [part.fill_null(0) for part in made.flatten()]
        unknown = pa.array(times.is_null().to_pylist())
        return pa.StructArray.from_arrays(parts, fields=fields, mask=unknown)

    return converting


def _replacing(create_clone: Callable[[Expr], Expr]) -> Callable[[Expr], Expr]:
    """Keep the `or replace` of a table's clone, which is lost."""

    def cloning(expression: Expr) -> Expr:
        made = create_clone(expression)
        if made is not expression:
            made.set("replace", expression.args.get("replace"))
        return made

    return cloning


def _adapting(parse_one: Callable[[str], Expr]) -> Callable[[str], Expr]:
    return lambda command: adapt(parse_one(command))


def _refusing(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Give the cause of every failure to the client, as the error of a statement."""

    def refusing(self: FakeSnowflakeCursor, command: str, *args: Any, **kwargs: Any) -> Any:
        try:
            if copying.remove(command, self._conn.database):
                command = "select 'removed' as result"
            elif schemas.run(command, self._duck_conn, self._conn.database):
                command = "select 'Statement executed successfully.' as status"
            elif found := _SHOWN_WAREHOUSE.fullmatch(command):
                command = _warehouse(found[1])
            command = schemas.unmanaged(command)
            with _turn(command):
                return execute(self, command, *args, **kwargs)
        except Error:
            raise
        except Exception as error:
            raise ProgrammingError(msg=f"{type(error).__name__}: {error}", **_REFUSED) from error

    return refusing


def _warehouse(name: str) -> str:
    """Show a warehouse as bootstrap makes them; the emulator has one of its own alone."""
    return f'select \'{name}\' as "name", \'X-Small\' as "size", 60 as "auto_suspend"'


def _turn(command: str) -> AbstractContextManager[object]:
    """Let one MERGE or UPDATE run at a time, as they wait for each other's locks at Snowflake.

    All sessions register a table of the same name for their MERGE; DuckDB refuses an UPDATE beside
    another one.
    """
    return _ONE_AT_A_TIME if _LOCKING.match(command) else nullcontext()


async def _answer(request: Request) -> JSONResponse:
    """Answer a failure of fakesnow as a refused statement: status 500 is retried for minutes."""
    answer = await fakesnow.server.query_request(request)
    if answer.status_code != 500:
        return answer
    found = json.loads(bytes(answer.body))
    code = f"{_REFUSED['errno']:06d}"
    return JSONResponse(
        {
            "data": {"errorCode": code, "sqlState": _REFUSED["sqlstate"]},
            "code": code,
            "message": found["message"],
            "success": False,
        }
    )
