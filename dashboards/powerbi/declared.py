"""What a model and a page are declared with; ``definition.py`` does, the writers only read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

# The visual that draws a Vega-Lite specification: certified, from AppSource.
DENEB: Final = "deneb7E15AEF80B9E4D4F8E12924291ECE89A"


@dataclass(frozen=True)
class Connection:
    """How Snowflake is reached; the parameters are asked for when the project is first opened.

    ``implementation``: "2.0" is the connector on ADBC; None is the older one, on ODBC.
    """

    parameters: Mapping[str, str]
    implementation: str | None


@dataclass(frozen=True)
class Measure:
    """A DAX measure; one that is a text or only serves others needs no format."""

    name: str
    description: str
    dax: str
    format: str | None = None
    hidden: bool = False


@dataclass(frozen=True)
class ModelTable:
    """A table of gold in the model: those of its columns that something uses, and its measures.

    ``shown``: the columns that a reader may filter or group by; all others are hidden, so that
    nobody drags a price where it would be aggregated. ``where``: a flag that a row must have.
    """

    name: str
    columns: Sequence[str]
    shown: Sequence[str] = ()
    measures: Sequence[Measure] = ()
    where: str | None = None


@dataclass(frozen=True)
class Relationship:
    """Many rows of a fact to one of a dimension, by a column that both have."""

    fact: str
    dimension: str
    column: str


@dataclass(frozen=True)
class Model:
    """The semantic model."""

    connection: Connection
    tables: Sequence[ModelTable]
    relationships: Sequence[Relationship]


@dataclass(frozen=True)
class Field:
    """A column or a measure of the model, in a visual; columns by their name in gold."""

    table: str
    name: str
    is_measure: bool = False

    @property
    def model_name(self) -> str:
        """Return the name in the model, where columns are called as Snowflake calls them."""
        return self.name if self.is_measure else self.name.upper()


def column(table: str, name: str) -> Field:
    """Return a column, by its name in gold."""
    return Field(table, name)


def measure(table: str, name: str) -> Field:
    """Return a measure."""
    return Field(table, name, is_measure=True)


@dataclass(frozen=True)
class Filter:
    """Rows where a field has a value (text, flag or whole number); a reader sees it in the pane."""

    field: Field
    value: str | bool | int


@dataclass(frozen=True)
class Box:
    """Where a visual is on its page, in pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Visual:
    """A visual: ``key`` makes its id, so a changed title does not rename its folder.

    ``title``: a text, a measure that gives one, or None for none. ``sort``: a field and whether
    descending. ``objects``: its formatting, by object and property.
    """

    key: str
    type: str
    box: Box
    alt: str
    roles: Mapping[str, Sequence[Field]] = field(default_factory=dict)
    title: str | Field | None = None
    sort: tuple[Field, bool] | None = None
    filters: Sequence[Filter] = ()
    objects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """A page: its visuals in the order of the Tab key.

    ``unaffected``: pairs of visuals of which a selection in the first leaves the second as it is.
    """

    key: str
    title: str
    width: int
    height: int
    visuals: Sequence[Visual]
    filters: Sequence[Filter]
    unaffected: Sequence[tuple[str, str]]
