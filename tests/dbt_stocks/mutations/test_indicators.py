"""Planted faults of the indicators: each turns one of dbt's unit tests red."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.dbt.project import Project
from tests.dbt_stocks.daily_bars import dbt, new_project

MODELS = ("gold_technical_indicators", "silver_smoothed_bars", "silver_comparable_bars")
GOLD = "models/gold/daily/gold_technical_indicators.sql"
SMOOTHED = "models/silver/indicators/silver_smoothed_bars.sql"
COMPARABLE = "models/silver/indicators/silver_comparable_bars.sql"


@dataclass(frozen=True)
class Fault:
    """A text of a model, what stands there instead, and the unit test that sees it."""

    path: str
    text: str
    instead: str
    seen_by: str


FAULTS = {
    "rsi_by_simple_average": Fault(
        SMOOTHED,
        "then shares_{{ smoothing_steps() }}.{{ name }} / moved.split_ratio_total",
        "then avg(moved.{{ average['value'] }}) over (partition by moved.instrument_id"
        " order by moved.bar_number rows between 13 preceding and current row)",
        "an_increment_goes_on_from_the_known_bar",
    ),
    "window_off_by_one": Fault(
        GOLD,
        "rows between {{ width - 1 }} preceding",
        "rows between {{ width }} preceding",
        "a_window_is_whole_or_null",
    ),
    "sample_for_population_deviation": Fault(
        GOLD, "stddev_pop", "stddev_samp", "bands_are_of_the_population_s_deviation"
    ),
    "partial_window_shown_as_full": Fault(
        GOLD, "when bar_number >= {{ width }}", "when bar_number >= 1", "a_window_is_whole_or_null"
    ),
    "look_back_too_short": Fault(
        GOLD,
        "> changed.first_bar_number - {{ sma_widths | max }}",
        "> changed.first_bar_number - 4",
        "an_increment_looks_back_as_far_as_its_windows",
    ),
    "split_on_the_wrong_side_of_its_day": Fault(
        COMPARABLE,
        "bars.session_date >= split_periods.valid_from",
        "bars.session_date > split_periods.valid_from",
        "bars_are_numbered_and_brought_to_the_first_day_s_shares",
    ),
    "first_bar_has_a_true_range": Fault(
        SMOOTHED,
        "when previous_close_value is not null",
        "when high_value is not null",
        "averages_begin_with_the_mean_of_their_first_bars",
    ),
    "unadjusted_prices": Fault(
        SMOOTHED,
        "bars.close_price * bars.split_ratio_total as close_value",
        "cast(bars.close_price as double) as close_value",
        "a_split_is_no_fall",
    ),
    "state_of_an_average_that_has_not_begun": Fault(
        SMOOTHED,
        "where states.bar_number >= {{ ema_spans() | max }}",
        "where states.bar_number >= 1",
        "an_increment_begins_anew_where_an_average_has_not_begun",
    ),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project's tables, without a row: dbt's unit tests need their columns."""
    made = new_project(tmp_path_factory.mktemp("mutations"), ["AAPL"])
    done = dbt(
        made, "build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test",
        "--select", "+gold_technical_indicators",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return made


def test_without_a_fault_all_pass(project: Project) -> None:
    assert _red(project) == set()


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_turns_a_test_red(project: Project, name: str) -> None:
    fault = FAULTS[name]

    with _planted(project.dbt / fault.path, fault):
        assert fault.seen_by in _red(project)


@contextmanager
def _planted(path: Path, fault: Fault) -> Iterator[None]:
    sound = path.read_text()
    assert sound.count(fault.text) == 1, f"{path.name}: {fault.text!r} is not there once"
    path.write_text(sound.replace(fault.text, fault.instead))
    try:
        yield
    finally:
        path.write_text(sound)


def _red(project: Project) -> set[str]:
    """Run the models' unit tests and return those that failed; a compile error is none."""
    selected = [f"{model},test_type:unit" for model in MODELS]
    done = dbt(project, "test", "--select", *selected)
    found = {
        test: verdict
        for verdict, test in re.findall(r"\d+ of \d+ (PASS|FAIL \d+|ERROR) \w+::(\w+)", done.stdout)
    }
    assert len(found) >= 10 and "ERROR" not in found.values(), done.stdout
    return {test for test, verdict in found.items() if verdict != "PASS"}
