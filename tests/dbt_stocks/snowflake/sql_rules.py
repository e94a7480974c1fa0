"""What Snowflake refuses or means otherwise than DuckDB, looked for in compiled SQL.

The emulator runs on DuckDB and takes much that Snowflake does not. So the text itself is judged:
every rule cites what Snowflake's documentation (docs.snowflake.com, read 2026-11) says of it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

import sqlglot
from sqlglot import Expr, exp
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import TypeAnnotator, annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema
from sqlglot.tokens import TokenType

Schema = dict[str, dict[str, dict[str, str]]]
Rule = Callable[[Expr], Iterator[str]]

# Functions that the project uses. One is added after it was looked up in the functions reference:
# the same name and arguments, the same answer to NULL. Three differ in that, concat, greatest and
# least: Snowflake's are NULL where one argument is, DuckDB's pass over it; give them none.
FUNCTIONS = frozenset(
    """
    abs avg cast coalesce concat count covar_pop covar_samp date_trunc dateadd datediff dense_rank
    exp extract first_value floor greatest iff lag lead least ln lower max md5 min mod nullif
    parse_json percent_rank rank regexp_like replace round row_number rtrim sign sqrt stddev_pop
    stddev_samp sum to_json to_timestamp_ntz try_cast typeof upper var_samp
    """.split()  # noqa: SIM905 - forty quoted words would say no more
)
_BEFORE_PARENTHESIS = frozenset(
    """
    all and any as between by case distinct else exclude exists from group having ilike in is join
    lateral like limit not on or order over partition qualify select then union using values when
    where with char date decimal double number numeric time timestamp timestamp_ntz varchar
    """.split()  # noqa: SIM905
)
# "Reserved & limited keywords": no column, alias or table has such a name without quotes.
_RESERVED = frozenset(
    """
    account all alter and any as between by case cast check column connect connection constraint
    create cross current current_date current_time current_timestamp current_user database delete
    distinct drop else exists false following for from full grant group gscluster having ilike in
    increment inner insert intersect into is issue join lateral left like localtime localtimestamp
    minus natural not null of on or order organization qualify regexp revoke right rlike row rows
    sample select set some start table tablesample then to trigger true try_cast union unique update
    using values view when whenever where with
    """.split()  # noqa: SIM905
)
# "When this function is called as a window function, it does not support an ORDER BY clause within
# the OVER clause, nor explicit window frames."
_UNORDERED = (
    exp.Corr,
    exp.CovarPop,
    exp.CovarSamp,
    exp.Kurtosis,
    exp.Median,
    exp.Mode,
    exp.PercentileCont,
    exp.PercentileDisc,
    exp.RegrSlope,
    exp.RegrIntercept,
    exp.RegrR2,
    exp.RegrCount,
    exp.RegrAvgx,
    exp.RegrAvgy,
    exp.RegrSxx,
    exp.RegrSxy,
    exp.RegrSyy,
)
_EXACT = exp.DataType.INTEGER_TYPES | {exp.DataType.Type.DECIMAL}
# What is made of two types: with a double a double, as in Snowflake; sqlglot has it the other way.
_COERCES_TO = {
    kind: wider | {exp.DataType.Type.DOUBLE} if kind in _EXACT else wider - _EXACT
    for kind, wider in TypeAnnotator.COERCES_TO.items()
}
_ANSI = re.compile(r"\x1b\[\d*m")
_LITERAL_OR_COMMENT = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*[\s\S]*?\*/")


def findings(sql: str, schema: Schema | None = None) -> list[str]:
    """Return what is wrong with a query for Snowflake; types are judged where ``schema`` is given.

    ``schema`` holds the column types of every relation that the query may read: schema, relation,
    column.
    """
    try:
        parsed = sqlglot.parse_one(sql, read="snowflake")
    except SqlglotError as error:
        return [f"no SQL of Snowflake: {_ANSI.sub('', str(error))}"]
    found = [*_in_text(sql), *_unknown_functions(sql, parsed)]
    for rule in _RULES:
        found += rule(parsed)
    if schema is not None and not found:
        found += _by_types(parsed, schema)
    return found


def _in_text(sql: str) -> Iterator[str]:
    code = _LITERAL_OR_COMMENT.sub(" ", sql)
    if "//" in code:
        yield "// starts a comment; there is no integer division"
    for quoted in re.findall(r'"[^"]*"', code):
        if quoted != quoted.upper():
            yield f"{quoted}: quotes keep lower case, every other name is upper case"
    if re.search(r"\binterval\s+[\d(]", code, re.IGNORECASE):
        yield "an interval constant is one text: interval '5 minutes'"
    for literal in _LITERAL_OR_COMMENT.findall(sql):
        if literal.startswith("'") and "\\" in literal:
            yield f"{literal}: a backslash escapes in a text"


def _unknown_functions(sql: str, parsed: Expr) -> Iterator[str]:
    tables = {cte.alias.lower() for cte in parsed.find_all(exp.CTE)}
    known = FUNCTIONS | _BEFORE_PARENTHESIS | tables
    tokens = Snowflake().tokenize(sql)
    called = {
        token.text.lower()
        for token, following in pairwise(tokens)
        if following.token_type is TokenType.L_PAREN
    }
    for name in sorted(called - known):
        if re.fullmatch(r"[a-z_]\w*", name):
            yield f"{name}(): not among the functions looked up in Snowflake's reference"


def _windows(parsed: Expr) -> Iterator[str]:
    for window in parsed.find_all(exp.Window):
        function = window.find(exp.Func)
        ordered = window.args.get("order") or window.args.get("spec")
        if isinstance(function, _UNORDERED) and ordered:
            yield f"{function.sql_name()} OVER: neither ORDER BY nor a frame"
        if isinstance(function, exp.Count) and ordered and function.find(exp.Distinct):
            yield "COUNT(DISTINCT) OVER: neither ORDER BY nor a frame"


def _clauses(parsed: Expr) -> Iterator[str]:
    if parsed.find(exp.Filter):
        yield "FILTER (WHERE …): no such clause, use CASE in the argument"
    for distinct in parsed.find_all(exp.Distinct):
        if distinct.args.get("on"):
            yield "DISTINCT ON: no such clause, use QUALIFY or ROW_NUMBER"
    for join in parsed.find_all(exp.Join):
        if join.kind in ("SEMI", "ANTI") or join.method in ("POSITIONAL", "ASOF"):
            yield f"{join.kind or join.method} JOIN: use EXISTS, or a window function"
    for union in parsed.find_all(exp.SetOperation):
        if union.args.get("by_name"):
            yield "UNION BY NAME: name the columns"


def _orders(parsed: Expr) -> Iterator[str]:
    for order in parsed.find_all(exp.Order):
        if isinstance(order.parent, exp.AggFunc):
            yield "ORDER BY inside an aggregate's parentheses: use WITHIN GROUP"
        if any(item.sql().upper().startswith("ALL") for item in order.expressions):
            yield "ORDER BY ALL: name the columns"


def _reserved(parsed: Expr) -> Iterator[str]:
    for identifier in parsed.find_all(exp.Identifier):
        if not identifier.quoted and identifier.name.lower() in _RESERVED:
            yield f"{identifier.name}: a reserved word as a name"


def _recursion(parsed: Expr) -> Iterator[str]:
    """Judge `with`: "the recursive clause can't contain aggregate or window functions, …"."""
    for cte in parsed.find_all(exp.CTE):
        name = cte.alias
        readers = [t for t in cte.this.find_all(exp.Table) if t.name == name and not t.db]
        if not readers:
            continue
        if not isinstance(cte.this, exp.Union) or cte.this.args.get("distinct"):
            yield f"{name}: a recursive CTE is an anchor, UNION ALL, and one recursive SELECT"
            continue
        if not cte.args["alias"].args.get("columns"):
            yield f"{name}: a recursive CTE lists its columns after its name"
        step = cte.this.expression
        kinds = (exp.AggFunc, exp.Window, exp.Distinct, exp.Group, exp.Order, exp.Limit)
        for node in step.find_all(*kinds):
            yield f"{name}: {type(node).__name__.upper()} in the recursive SELECT"


_RULES: tuple[Rule, ...] = (_windows, _clauses, _orders, _reserved, _recursion)


def _by_types(parsed: Expr, schema: Schema) -> Iterator[str]:
    try:
        typed = _typed(parsed, schema)
    except SqlglotError as error:
        yield f"columns cannot be told: {error}"
        return
    yield from _exact_quotients(typed)
    yield from _casts_of_numbers(typed)
    yield from _columns_twice(typed)


def _typed(parsed: Expr, schema: Schema) -> Expr:
    """Tell the type of every expression, but for the precision of decimals."""
    known = {
        owner.upper(): {
            relation.upper(): {
                name.upper(): kind.partition("(")[0] for name, kind in columns.items()
            }
            for relation, columns in relations.items()
        }
        for owner, relations in schema.items()
    }
    # Not in Snowflake's dialect, where a bare decimal has a precision too, and wins over a double.
    typed = MappingSchema(known, normalize=False)
    qualified = qualify(parsed.copy(), dialect="snowflake", schema=typed)
    for kind in qualified.find_all(exp.DataType):
        kind.set("expressions", [])
    return annotate_types(qualified, schema=typed, coerces_to=_COERCES_TO, dialect="snowflake")


def _exact_quotients(typed: Expr) -> Iterator[str]:
    """Judge division and means of exact numbers.

    Snowflake keeps the dividend's scale and six digits more ("Scale and precision in arithmetic
    operations"); DuckDB gives a double.
    """
    for division in typed.find_all(exp.Div):
        if _is_exact(division.left) and _is_exact(division.right):
            yield f"{division.sql('snowflake')}: a quotient of exact numbers is cut; cast to double"
    for mean in typed.find_all(exp.Avg, exp.Median, exp.Variance, exp.VariancePop):
        if _is_exact(mean.this):
            yield f"{mean.sql('snowflake')}: a mean of exact numbers is cut; cast to double"


def _casts_of_numbers(typed: Expr) -> Iterator[str]:
    for cast in typed.find_all(exp.TryCast):
        kind = cast.this.type
        if kind is not None and not kind.is_type("unknown", *exp.DataType.TEXT_TYPES):
            yield f"{cast.sql('snowflake')}: TRY_CAST works only for texts"


def _columns_twice(typed: Expr) -> Iterator[str]:
    for select in typed.find_all(exp.Select):
        for name, times in Counter(select.named_selects).items():
            if times > 1:
                yield f"{name}: twice in one SELECT, ambiguous where it is read"


def _is_exact(value: Expr) -> bool:
    # 1.5 is a decimal of Snowflake, whatever it is elsewhere.
    is_constant = isinstance(value.unnest(), exp.Literal)
    return is_constant or (value.type is not None and value.type.is_type(*_EXACT))
