"""promtool, unpacked where the machine has none."""

from pathlib import Path

import pytest

from infra.setup import prometheus
from infra.setup.console import Console


@pytest.fixture(scope="session")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program; a machine that cannot get it fails the tests, naming the package."""
    log: Path = tmp_path_factory.mktemp("promtool") / "log"
    return prometheus.ensure("promtool", Console(total=1), log)
