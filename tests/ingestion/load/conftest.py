"""A database of the emulated Snowflake for a module's tests, as new for each."""

from collections.abc import Iterator

import pytest

from tests.emulator.process import Emulator
from tests.ingestion.load.account import Account, Buckets, new_account


@pytest.fixture(scope="module")
def made(emulator: Emulator) -> Iterator[Account]:
    yield from new_account(emulator)


@pytest.fixture
def account(made: Account) -> Account:
    made.empty()
    return made


@pytest.fixture
def changed_account(emulator: Emulator) -> Iterator[Account]:
    """One of its own for a test that changes its tables."""
    yield from new_account(emulator)


@pytest.fixture
def buckets(emulator: Emulator) -> Buckets:
    return Buckets(emulator.buckets)
