"""Daily bars of a market in a copy of the dbt project, and dbt's commands on it."""

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import duckdb
import pandas as pd

from benchmarks.dbt import data, project
from benchmarks.dbt.project import Project
from tests.dbt_stocks.daily_data import IS_SP500_WANTED, SP500

# The recorded file has prices as traded and no splits; its adjusted close shows these.
_RECORDED = f"""
    select
        symbol, session_date, open, high, low, close, adjusted_close, volume,
        0.0 as dividend_amount, coalesce(ratio, 1.0) as split_coefficient, 'recorded' as source
    from (
        select
            Ticker as symbol, Date as session_date, Open as open, High as high, Low as low,
            Close as close, "Adj Close" as adjusted_close, Volume as volume
        from read_csv('{resources.files("bokeh_sampledata") / "_data" / "stocks.csv.gz"}')
    ) left join (
        values ('AAPL', date '2000-06-21', 2.0), ('AAPL', date '2005-02-28', 2.0),
            ('MSFT', date '2003-02-18', 2.0)
    ) as splits (symbol, session_date, ratio) using (symbol, session_date)
"""
# The same tickers are in both files, with one vendor's volumes and another's.
_SP500 = f"""
    select
        symbol || '.SP' as symbol, session_date, open, high, low, close, adjusted_close, volume,
        dividend_amount, split_coefficient, 'sp500' as source
    from read_parquet('{SP500}')
"""


def market() -> str:
    """Return SQL of all daily bars: the recorded ones, and the S&P's where they are wanted."""
    return f"{_RECORDED} union all by name {_SP500}" if IS_SP500_WANTED else _RECORDED


def frame(sql: str) -> pd.DataFrame:
    """Return the sound rows of a relation by symbol and session, as floats."""
    with duckdb.connect() as db:
        return db.execute(
            "select symbol, session_date, open::double as open, high::double as high, "
            "low::double as low, close::double as close, volume::double as volume, "
            f"split_coefficient::double as split_ratio from ({sql}) "
            "where low > 0 and low <= least(open, close) and greatest(open, close) <= high "
            "order by symbol, session_date"
        ).df()


def new_project(home: Path, symbols: Iterable[str]) -> Project:
    """Copy the project, with these instruments and an empty warehouse."""
    made = project.copy(home, symbols)
    with data.opened(made.warehouse):
        return made


def dbt(made: Project, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run dbt on a copy, as from its folder."""
    target = str(made.home / "target")
    return subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", *words,
         "--target-path", target, "--log-path", target],
        cwd=made.dbt,
        env=os.environ | {"WAREHOUSE_PATH": str(made.warehouse)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
