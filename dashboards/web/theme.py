"""Colours, once: the chart's canvas takes them as values, everything else as CSS variables.

Up is blue and down is orange, which are told apart by everybody, and an arrow says it besides.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

Scheme = Literal["light", "dark"]

_FAINT: Final = "59"  # of 255, as hexadecimal digits after a colour


@dataclass(frozen=True)
class Palette:
    """Colours of one scheme; text and marks have 4.5:1 and 3:1 on ``surface``."""

    canvas: str
    surface: str
    raised: str
    line: str
    text: str
    muted: str
    up: str
    down: str
    tile: str
    accent: str
    second: str
    third: str
    ok: str
    warn: str
    bad: str
    hatch: str


PALETTES: Final[dict[Scheme, Palette]] = {
    "light": Palette(
        canvas="#f4f5f7", surface="#ffffff", raised="#f8f9fa", line="#e3e6ea",
        text="#1b2230", muted="#5b6472", up="#1f6fc4", down="#c2570c", tile="#eceff3",
        accent="#7048b6", second="#0b7d73", third="#8a6d00",
        ok="#23744a", warn="#996000", bad="#c02b2b", hatch="rgba(120, 90, 0, .055)",
    ),
    "dark": Palette(
        canvas="#0f131a", surface="#171c25", raised="#1d2430", line="#2b3442",
        text="#e6eaf0", muted="#98a3b3", up="#58a6f2", down="#f0914a", tile="#252d3a",
        accent="#b79cf0", second="#4fc4b8", third="#d9bd4f",
        ok="#5cc48c", warn="#e6ab45", bad="#f07a7a", hatch="rgba(255, 214, 102, .03)",
    ),
}  # fmt: skip

MANTINE: Final[dict[str, Any]] = {
    "primaryColor": "blue",
    "defaultRadius": "md",
    # Mantine's own greys are warm; these go with the palette: text first, the deepest ground last.
    "colors": {
        "dark": [
            "#e6eaf0",
            "#c3cad4",
            "#98a3b3",
            "#6d7889",
            "#3a4454",
            "#2b3442",
            "#222a36",
            "#1d2430",
            "#171c25",
            "#0f131a",
        ],
    },
    "fontFamily": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif",
}


def faint(colour: str) -> str:
    """Return the colour of what is not final."""
    return f"{colour}{_FAINT}"


def css() -> str:
    """Return the palettes as CSS variables, by Mantine's scheme."""
    return "\n".join(_rule(scheme, palette) for scheme, palette in PALETTES.items())


def _rule(scheme: str, palette: Palette) -> str:
    named = asdict(palette)
    named |= {f"{name}-faint": faint(named[name]) for name in ("up", "down")}
    colours = "".join(f"--{name}: {colour}; " for name, colour in named.items())
    return f':root[data-mantine-color-scheme="{scheme}"] {{ color-scheme: {scheme}; {colours}}}'
