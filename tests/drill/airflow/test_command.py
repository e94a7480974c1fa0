"""Which scenes are played."""

from typing import Any

import pytest
from typer.testing import CliRunner

from drill.__main__ import app
from drill.airflow import command


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the scenes that the command comes to play; no world is opened for them."""
    found: list[str] = []

    def play(_: object, scenes: Any, world: object) -> bool:
        found.extend(scene.name for scene in scenes)
        return True

    class Opened:
        is_filled_again = False

        def __enter__(self) -> "Opened":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(command.Record, "played", play)
    monkeypatch.setattr(command, "opened", lambda *_, **__: Opened())
    return found


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["failing"], ["batch", "failing test"]),
        (["streaming"], ["batch", "minute", "streaming"]),
        (["batch"], ["batch"]),
        (["export", "again"], ["batch", "again", "export"]),
        ([], [scene.name for scene in command.SCENES]),
    ],
)
def test_a_scene_is_played_with_those_that_it_comes_after(
    played: list[str], words: list[str], names: list[str]
) -> None:
    arguments = [part for word in words for part in ("--scene", word)]

    found = CliRunner().invoke(app, ["airflow", *arguments])

    assert found.exit_code == 0, found.output
    assert played == names


def test_a_word_that_is_in_no_scene_s_name_plays_none(played: list[str]) -> None:
    found = CliRunner().invoke(app, ["airflow", "--scene", "streeming"])

    assert found.exit_code == 2
    assert "streeming" in found.output
    assert played == []
