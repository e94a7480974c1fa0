"""Reads DAX as far as a mistake shows without an engine: its form, functions, names and guards."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

# What our measures use, with the least and most arguments that they take. A function that is not
# here is a finding: add it once its documentation was read.
FUNCTIONS: Final = {
    "AVERAGE": (1, 1),
    "CALCULATE": (1, 99),
    "CONCATENATEX": (2, 99),
    "COUNTROWS": (0, 1),
    "DISTINCTCOUNT": (1, 1),
    "DIVIDE": (2, 3),
    "FILTER": (2, 2),
    "FORMAT": (2, 3),
    "HASONEVALUE": (1, 1),
    "IF": (2, 3),
    "INT": (1, 1),
    "ISBLANK": (1, 1),
    "ISEMPTY": (1, 1),
    "MAX": (1, 2),
    "MIN": (1, 2),
    "REMOVEFILTERS": (0, 99),
    "SELECTEDVALUE": (1, 2),
    "SUM": (1, 1),
    "SWITCH": (3, 99),
    "TRUE": (0, 0),
    "UTCNOW": (0, 0),
}
_AGGREGATIONS: Final = {"SUM": "sum", "AVERAGE": "mean", "MIN": "min", "MAX": "max"}
_KEYWORDS: Final = {"ASC", "DESC"}
_BINARY: Final = {
    "+",
    "-",
    "*",
    "/",
    "^",
    "&",
    "=",
    "==",
    "<>",
    "<",
    ">",
    "<=",
    ">=",
    "&&",
    "||",
    "IN",
}
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"]|"")*")
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<table>'(?:[^']|'')+')
      | (?P<field>\[[^\[\]]+\])
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign>&&|\|\||<>|<=|>=|==|[-+*/^&=<>(){},])
    )""",
    re.VERBOSE,
)


class DaxError(Exception):
    """An expression is not DAX; the text says what was expected and found, and where."""


@dataclass(frozen=True)
class Guard:
    """A condition that has to hold: columns of which one value is in view, and measures."""

    one_value: frozenset[tuple[str, str]] = frozenset()
    measures: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Aggregation:
    """A column's values made one, and the guards that it is computed under."""

    function: str
    table: str
    column: str
    guards: tuple[Guard, ...]


@dataclass
class Uses:
    """What an expression names; ``is_loose``: it may be true though not all of that holds."""

    tables: set[str] = field(default_factory=set)
    columns: set[tuple[str, str]] = field(default_factory=set)
    measures: set[str] = field(default_factory=set)
    one_value: set[tuple[str, str]] = field(default_factory=set)
    aggregations: list[Aggregation] = field(default_factory=list)
    is_loose: bool = False


def read(expression: str) -> Uses:
    """Return what an expression names.

    Raises:
        DaxError: it has no form of DAX, or a function that is not in ``FUNCTIONS``.
    """
    parser = _Parser(list(_tokens(expression)))
    parser.block()
    parser.end()
    return parser.uses


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    position = 0
    while expression[position:].strip():
        match = _TOKEN.match(expression, position)
        if not match:
            raise DaxError(f"expected DAX, found {expression[position:].strip()[:20]!r}")
        kind = match.lastgroup
        assert kind is not None  # noqa: S101 - every branch of the pattern has a name
        yield kind, match.group(kind)
        position = match.end()


class _Parser:
    """Recursive descent over blocks of VAR and RETURN, operators and calls."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.position = 0
        self.uses = Uses()
        self.variables: set[str] = set()
        self.guards: list[Guard] = []

    def block(self) -> None:
        """Read variables and a result, or an expression alone."""
        has_variables = False
        while self._word("VAR"):
            has_variables = True
            name = self._take("word")
            self._sign("=")
            self.block()
            self.variables.add(name)
        if has_variables and not self._word("RETURN"):
            raise DaxError(f"expected RETURN after VAR, found {self._shown()}")
        self._expression()

    def end(self) -> None:
        """Require that all was read."""
        if self.position < len(self.tokens):
            raise DaxError(f"expected an operator or the end, found {self._shown()}")

    def _expression(self) -> None:
        self._operand()
        while self._peek()[1].upper() in _BINARY and self._peek()[0] in ("sign", "word"):
            self.uses.is_loose |= self._peek()[1] != "&&"
            self.position += 1
            self._operand()

    def _operand(self) -> None:
        while self._word("NOT") or self._is_sign("-"):
            # A guard that is negated guards nothing.
            self.uses.is_loose = True
        kind, text = self._peek()
        self.position += 1
        if kind in ("string", "number"):
            return
        if kind == "field":
            self.uses.measures.add(text[1:-1])
        elif kind == "table":
            self._table(text[1:-1].replace("''", "'"))
        elif kind == "word":
            self._named(text)
        elif text == "(":
            self.block()
            self._sign(")")
        elif text == "{":
            self._list("}")
        else:
            self.position -= 1
            raise DaxError(f"expected a value, found {self._shown()}")

    def _named(self, word: str) -> None:
        if self._is_sign("("):
            self._call(word.upper())
        elif self._peek()[0] == "field":
            self._table(word)
        elif word not in self.variables and word.upper() not in _KEYWORDS:
            self.uses.tables.add(word)

    def _table(self, name: str) -> None:
        if self._peek()[0] == "field":
            self.uses.columns.add((name, self._take("field")[1:-1]))
        else:
            self.uses.tables.add(name)

    def _call(self, function: str) -> None:
        if function not in FUNCTIONS:
            raise DaxError(f"expected a function that is known, found {function}")
        start = self.position
        count = self._list(")", is_if=function == "IF")
        self.uses.is_loose |= function != "HASONEVALUE"
        least, most = FUNCTIONS[function]
        if not least <= count <= most:
            raise DaxError(f"expected {least} to {most} arguments of {function}, found {count}")
        self._note(function, self.tokens[start : self.position - 1])

    def _note(self, function: str, arguments: list[tuple[str, str]]) -> None:
        """Keep a call on a single column that says what is aggregated, or what is one."""
        if [kind for kind, _ in arguments] not in (["word", "field"], ["table", "field"]):
            return
        table, column = arguments[0][1].strip("'"), arguments[1][1][1:-1]
        if function == "HASONEVALUE":
            self.uses.one_value.add((table, column))
        elif function in _AGGREGATIONS:
            found = Aggregation(_AGGREGATIONS[function], table, column, tuple(self.guards))
            self.uses.aggregations.append(found)

    def _list(self, closing: str, is_if: bool = False) -> int:
        """Read values up to a bracket and return how many; an IF's first guards its second."""
        count = 0
        if self._is_sign(closing):
            return count
        while True:
            if is_if and not count:
                self._condition()
            else:
                self.block()
            count += 1
            if is_if and count == 2:
                self.guards.pop()
            if self._is_sign(closing):
                return count
            self._sign(",")

    def _condition(self) -> None:
        """Read an IF's condition; what it requires is a guard of the value that follows."""
        before, self.uses = self.uses, Uses()
        self.block()
        self.guards.append(guard(self.uses))
        self.uses = _joined(before, self.uses)

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.position] if self.position < len(self.tokens) else ("end", "")

    def _word(self, word: str) -> bool:
        kind, text = self._peek()
        is_there = kind == "word" and text.upper() == word
        self.position += is_there
        return is_there

    def _is_sign(self, sign: str) -> bool:
        is_there = self._peek() == ("sign", sign)
        self.position += is_there
        return is_there

    def _sign(self, sign: str) -> None:
        if not self._is_sign(sign):
            raise DaxError(f"expected {sign}, found {self._shown()}")

    def _take(self, kind: str) -> str:
        found, text = self._peek()
        if found != kind:
            raise DaxError(f"expected a {kind}, found {self._shown()}")
        self.position += 1
        return text

    def _shown(self) -> str:
        return self._peek()[1] or "the end"


def guard(uses: Uses) -> Guard:
    """Return what holds where an expression is true; nothing, where it may be so in other ways."""
    if uses.is_loose:
        return Guard()
    return Guard(frozenset(uses.one_value), frozenset(uses.measures))


def _joined(first: Uses, second: Uses) -> Uses:
    return Uses(
        first.tables | second.tables,
        first.columns | second.columns,
        first.measures | second.measures,
        first.one_value | second.one_value,
        first.aggregations + second.aggregations,
        first.is_loose,
    )
