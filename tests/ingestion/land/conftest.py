"""The stack that the tests of landing share."""

import pytest

from tests.conftest import RunningStack, StackFactory


@pytest.fixture(scope="session")
def landing_stack(stack_factory: StackFactory) -> RunningStack:
    """A stack of its own: these tests re-create topics and stop what they like."""
    return stack_factory.make("landing", ("kafka", "store"), LAND_MAX_AGE_S="0.5")
