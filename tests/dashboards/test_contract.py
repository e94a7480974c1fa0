"""The contract of gold: what follows from names, what the YAML says, and that nothing is open."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from dashboards import contract, generate, rules
from ingestion.errors import ContractError

ROOT = Path(__file__).resolve().parents[2]
GOLD = contract.load()


def model(tmp_path: Path, columns: str, meta: str = "{}") -> Path:
    """Write a folder of models with one mart of one column besides its key."""
    (tmp_path / "mart.sql").write_text("select 1")
    (tmp_path / "_mart__models.yml").write_text(
        dedent("""
        models:
          - name: mart
            description: One row per symbol.
            config: {meta: %s}
            columns:
              - {name: symbol, data_type: varchar, description: Ticker., data_tests: [unique]}
              - {%s, description: What.}
        """)
        % (meta, columns)
    )
    return tmp_path


def test_the_committed_file_is_what_the_models_say() -> None:
    assert contract.PATH.read_text() == contract.dumps(generate.generate()), (
        "run `python -m dashboards contract` and commit the result"
    )


def test_what_is_read_is_what_was_generated() -> None:
    assert contract.load() == generate.generate()


def test_the_command_checks_and_writes_nothing() -> None:
    before = contract.PATH.stat().st_mtime_ns
    found = subprocess.run(
        [sys.executable, "-m", "dashboards", "contract", "--check"], cwd=ROOT, check=False
    )

    assert found.returncode == 0
    assert contract.PATH.stat().st_mtime_ns == before


@pytest.mark.parametrize("table", GOLD.tables.values(), ids=lambda table: table.name)
def test_no_column_is_undecided(table: contract.Table) -> None:
    axes = {axis for axis in table.key.values() if axis != "one_of"}
    for column in table.columns.values():
        is_number, name = rules.is_number(column.type), column.name
        assert ((column.unit is None) != (column.unit_column is None)) == is_number, name
        assert column.unit_column is None or column.unit_column in table.columns, name
        assert set(column.over) == (axes if is_number or column.time_zone else set()), name
        if column.type == "timestamp":
            assert column.time_zone == "UTC", name
            assert "UTC" in column.description, name
        if column.type == "date":
            assert column.time_zone == "exchange", name


@pytest.mark.parametrize("table", GOLD.tables.values(), ids=lambda table: table.name)
def test_no_price_or_indicator_of_several_instruments_means_anything(table: contract.Table) -> None:
    for column in table.columns.values():
        if column.unit in ("price", "oscillator", "index", "percent", "ratio"):
            assert column.over.get("symbols", ()) == (), column.name


def test_volume_is_summed_and_prices_are_not() -> None:
    candles, kpi = GOLD.tables["gold_candlestick"].columns, GOLD.tables["gold_kpi"].columns
    over = {name: dict(candles[name].over) for name in candles}

    assert candles["volume_shares"].is_additive
    assert over["volume_shares"] == {"symbols": ("sum",), "time": ("sum",)}
    assert over["open_price"] == {"symbols": (), "time": ("first",)}
    assert over["high_price"] == {"symbols": (), "time": ("max",)}
    assert over["low_price"] == {"symbols": (), "time": ("min",)}
    assert over["close_price"] == {"symbols": (), "time": ("last",)}
    assert kpi["current_price"].over == {"symbols": ()}
    assert not kpi["current_price"].allows("mean", "symbols")
    assert not GOLD.column("gold_technical_indicators", "rsi_14").allows("max", "time")
    # The windows of a symbol overlap: its volumes may not be summed over time.
    window = GOLD.column("realtime_stock_analytics", "volume_sum_1h")
    assert window.over == {"symbols": ("sum",), "time": ()}
    assert not window.is_additive


def test_what_holds_the_same_trades_again_is_chosen_first() -> None:
    chosen = {name: table.one_of for name, table in GOLD.tables.items()}

    assert chosen["gold_candlestick"] == ["candle_interval", "simulated"]
    assert chosen["gold_intraday_window_metrics"] == ["window_size", "simulated"]
    assert chosen["gold_daily_prices_adjusted"] == ["convention", "simulated"]
    assert chosen["gold_market_breadth"] == ["universe", "simulated"]
    assert all("simulated" in table.columns for table in GOLD.tables.values())


def test_every_type_has_a_name_in_every_engine() -> None:
    assert contract.type_in("postgres", "timestamp") == "timestamp with time zone"
    assert contract.type_in("snowflake", "decimal(18,6)") == "NUMBER(18,6)"
    # Power BI's decimal would cut the fifth place of a price.
    assert contract.type_in("tmdl", "decimal(18,6)") == "double"
    assert contract.type_in("tmdl", "decimal(18,4)") == "decimal"
    with pytest.raises(ContractError, match="found float"):
        contract.type_in("duckdb", "float")


def test_a_name_that_gold_does_not_have_is_told() -> None:
    with pytest.raises(ContractError, match="found gold_kpis"):
        GOLD.table("gold_kpis")
    with pytest.raises(ContractError, match=r"found gold_kpi\.price"):
        GOLD.column("gold_kpi", "price")


def test_a_name_that_says_nothing_needs_a_meta(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"^mart\.width: expected a rule .* found neither$"):
        generate.generate(model(tmp_path, "name: width, data_type: double"))


def test_a_meta_wins_over_the_name(tmp_path: Path) -> None:
    column = "name: close_price, data_type: double, config: {meta: {unit: count}}"

    found = generate.generate(model(tmp_path, column)).column("mart", "close_price")

    assert (found.unit, found.over) == ("count", {"symbols": ()})


@pytest.mark.parametrize(
    ("meta", "fault"),
    [
        ("{unit: bananas}", "expected a unit"),
        ("{over: {time: [sum]}}", "expected a unit"),
        ("{unit: count, unit_column: symbol}", "expected a unit"),
        ("{unit: count, over: {space: [sum]}}", "expected axes and aggregations, found space"),
        ("{unit: count, over: {time: [median]}}", r"found time: \['median'\]"),
        ("{unit: count, overs: {}}", "found overs"),
    ],
)
def test_a_meta_that_is_none_is_told(tmp_path: Path, meta: str, fault: str) -> None:
    column = f"name: width, data_type: double, config: {{meta: {meta}}}"

    with pytest.raises(ContractError, match=rf"^mart\.width: .*{fault}"):
        generate.generate(model(tmp_path, column))


def test_an_axis_is_of_a_key_column(tmp_path: Path) -> None:
    column = "name: close_price, data_type: double"

    with pytest.raises(ContractError, match=r"mart\.close_price: expected an axis of a key column"):
        generate.generate(model(tmp_path, column, "{axes: {close_price: time}}"))


def test_a_mart_without_a_tested_key_is_none(tmp_path: Path) -> None:
    folder = model(tmp_path, "name: close_price, data_type: double")
    path = folder / "_mart__models.yml"
    path.write_text(path.read_text().replace("[unique]", "[not_null]"))

    with pytest.raises(ContractError, match="expected a tested key"):
        generate.generate(folder)
