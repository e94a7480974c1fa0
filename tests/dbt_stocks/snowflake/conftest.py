"""Both engines with the same raw rows, built twice."""

from collections.abc import Iterator

import pytest

from tests.dbt_stocks.conftest import new_project
from tests.dbt_stocks.intraday_data import Market
from tests.dbt_stocks.snowflake.engines import Engines, first_rows, second_rows
from tests.dbt_stocks.snowflake.raw_copy import Copy
from tests.emulator import process


@pytest.fixture(scope="session")
def both_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Two loads, each built as it came: the second build is made of increments."""
    home = tmp_path_factory.mktemp("engines")
    project = new_project(home / "duckdb")
    raw = project.raw
    with process.running(home / "emulator") as emulator, emulator.connect() as connection:
        copy = Copy(raw.path, connection, home / "raw")
        copy.begin()
        engines = Engines(project, emulator, copy, home)
        minutes = Market(raw, seed=1)
        first_rows(raw, minutes)
        # Tests run once: those of the first build would be the same texts. (A unit test of an
        # incremental model also asks for the columns of the model's table.)
        engines.build("first", 1, "--exclude-resource-type", "test", "unit_test")
        second_rows(raw, minutes)
        engines.build("second", 2, "--exclude-resource-type", "seed")
        yield engines
