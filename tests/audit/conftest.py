from collections.abc import Iterator
from typing import Any

import pytest

from audit.report import render
from tests.audit.world import World


@pytest.fixture(scope="session")
def world(stack_factory: Any) -> Iterator[World]:
    """A stack of its own: the audit judges whole topics and buckets, whoever wrote to them."""
    running = stack_factory.make("audit", ("kafka", "store"))
    world = World(running.env_file)
    world.fill()
    verdict = world.audit()
    assert verdict.verdict == "ok", render(verdict)
    yield world
    after = world.audit()
    assert after.verdict == "ok", render(after)
    world.catalog.close()
