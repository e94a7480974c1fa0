"""The priority lists of fail-over: which providers are asked, in which order."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import typer

from ingestion.errors import SettingsError
from ingestion.produce.providers import ALPHAVANTAGE, FINNHUB, YAHOO, has_key
from ingestion.settings import ProduceSettings

Kind = Literal["bars", "quotes"]

SERVING: Final[dict[Kind, tuple[str, ...]]] = {
    "bars": (YAHOO, ALPHAVANTAGE),
    "quotes": (FINNHUB, ALPHAVANTAGE),
}

Sources = Annotated[
    str | None,
    typer.Option(
        "--sources",
        metavar="NAME,NAME",
        help="Providers, the best first; PRODUCE_BARS_SOURCES or PRODUCE_QUOTES_SOURCES without. A "
        "provider named here or there needs its key; of the list that nobody set, those without "
        "one are left out, and it is said.",
    ),
]


def ranked(kind: Kind, given: str | None) -> tuple[str, ...]:
    """Return the providers to ask, the best first; one without its key only where it was chosen.

    Raises:
        SettingsError: one of them has no such data.
    """
    settings = ProduceSettings.load()
    field, variable = f"{kind}_sources", f"PRODUCE_{kind.upper()}_SOURCES"
    is_chosen = given is not None or field in settings.model_fields_set
    names = (
        _names(getattr(settings, field), variable, kind)
        if given is None
        else _names(given, "--sources", kind)
    )
    usable = tuple(filter(has_key, names))
    if is_chosen or not usable:
        return tuple(names)  # the first adapter without its key says so
    for name in names:
        if name not in usable:
            text = f"warning: {name} is left out: {name.upper()}_API_KEY is not set"
            typer.echo(text, err=True)
    return usable


def _names(text: str, option: str, kind: Kind) -> Sequence[str]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    unknown = [name for name in names if name not in SERVING[kind]]
    if unknown:
        expected = ", ".join(SERVING[kind])
        raise SettingsError(f"{option}: expected {kind} of {expected}, found {unknown[0]!r}")
    return names
