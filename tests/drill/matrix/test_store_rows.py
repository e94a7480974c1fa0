"""Two rows of the matrix as they are, on a broker and a store of their own."""

import os
from collections.abc import Iterator

import pytest

from drill.matrix.cluster import Cluster
from drill.matrix.matrix import ROWS
from drill.matrix.run import Run
from drill.matrix.stage import Options


@pytest.fixture(scope="module")
def played(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    home = tmp_path_factory.mktemp("drill") / "cluster"
    cluster = Cluster(home, size=1)
    with pytest.MonkeyPatch.context() as patch:
        # What the cluster puts in force is taken back with the patch.
        patch.setenv("TAPEHOUSE_ENV_FILE", os.environ["TAPEHOUSE_ENV_FILE"])
        try:
            cluster.up()
            yield Run(cluster, Options(rate=300.0, seed=4), home)
        finally:
            cluster.down()


@pytest.mark.integration
@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [14, 17])
def test_a_store_that_lies_about_its_answers_loses_and_doubles_nothing(
    played: Run, number: int
) -> None:
    outcome = played.play(ROWS[number])

    assert outcome.verdict == "green", outcome.reason
    assert outcome.notes
    assert outcome.audit.startswith("2 auditors: ok")
