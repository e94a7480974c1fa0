"""An emulated Snowflake for a module's tests, a database of it for each."""

from collections.abc import Iterator

import pytest

from tests.emulator import process
from tests.emulator.process import Emulator
from tests.ingestion.load.account import Account, Buckets, new_account


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with process.running(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture
def account(emulator: Emulator) -> Iterator[Account]:
    yield from new_account(emulator)


@pytest.fixture
def buckets(emulator: Emulator) -> Buckets:
    return Buckets(emulator.buckets)
