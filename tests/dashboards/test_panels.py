"""Every screen's panels against gold's columns as the models have them now, and its exposure."""

import pytest

from dashboards import generate, panels
from dashboards.panels import Screen

GOLD = generate.generate()
SCREENS = [pytest.param(screen, id=screen.exposure) for screen in panels.screens()]
# Who reads gold by SQL of his own has no panels.
WITHOUT_PANELS = {"quant_research"}


@pytest.mark.parametrize("screen", SCREENS)
def test_panels_use_what_gold_has(screen: Screen) -> None:
    broken = panels.broken_uses(screen.panels, GOLD)

    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_reads_what_its_exposure_names(screen: Screen) -> None:
    differences = panels.misexposed(screen, panels.exposed())

    assert not differences, "\n".join(differences)


def test_every_exposure_that_is_a_screen_has_panels() -> None:
    assert {s.exposure for s in panels.screens()} == panels.exposed().keys() - WITHOUT_PANELS


def test_a_renamed_column_breaks_the_panels_that_use_it() -> None:
    used: panels.Panels = {
        "KPI strip": {"gold_kpi": ["symbol", "last_price"]},
        "Candles": {"gold_candle": ["open_price"], "gold_kpi": ["symbol"]},
    }

    assert panels.broken_uses(used, GOLD) == [
        "panel KPI strip uses gold_kpi.last_price, which gold does not have",
        "panel Candles uses gold_candle, which gold does not have",
    ]


def test_exposure_and_panels_agree_both_ways() -> None:
    screen = Screen("page", {"KPI strip": {"gold_kpi": ["symbol"]}})

    assert panels.misexposed(screen, {"page": {"gold_kpi"}}) == []
    assert panels.misexposed(screen, {"page": {"gold_movers"}}) == [
        "panel KPI strip uses gold_kpi, which exposure page does not name",
        "exposure page names gold_movers, which none of its panels uses",
    ]
    assert panels.misexposed(screen, {}) == ["page: expected an exposure of this name, found none"]


def test_exposures_are_read_as_they_are_written() -> None:
    found = panels.exposed()

    assert found.keys() >= {"power_bi_stocks", "superset_markets", "market_page"}
    assert "gold_kpi" in found["market_page"]
    assert set().union(*found.values()) == GOLD.tables.keys()
