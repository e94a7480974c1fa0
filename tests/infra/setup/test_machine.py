from pathlib import Path

import pytest

from infra.setup import machine
from infra.setup.console import SetupError


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it, and no JAVA_HOME."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path


def put(folder: Path, name: str, script: str) -> None:
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)


def one_line(error: pytest.ExceptionInfo[SetupError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_missing_java_names_what_to_install(path: Path) -> None:
    with pytest.raises(SetupError) as error:
        machine.check_java()
    assert "install Java 17" in one_line(error)


@pytest.mark.parametrize("version", ['openjdk version "11.0.2"', 'java version "1.8.0_292"'])
def test_old_java_is_refused(path: Path, version: str) -> None:
    put(path, "java", f"echo '{version}' >&2")
    with pytest.raises(SetupError) as error:
        machine.check_java()
    assert "too old" in one_line(error)


@pytest.mark.parametrize(
    "version", ['openjdk version "17.0.15"', 'openjdk version "25" 2025-09-16']
)
def test_new_enough_java_is_taken(path: Path, version: str) -> None:
    put(path, "java", f"echo '{version}' >&2")
    machine.check_java()


def test_java_home_comes_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path, "java", "echo 'openjdk version \"17.0.1\"' >&2")
    (path / "jdk" / "bin").mkdir(parents=True)
    put(path / "jdk" / "bin", "java", "echo 'openjdk version \"11.0.2\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(path / "jdk"))
    with pytest.raises(SetupError, match="Java 11 is too old"):
        machine.check_java()


def test_missing_maven_names_what_to_install(path: Path) -> None:
    with pytest.raises(SetupError) as error:
        machine.check_maven()
    assert "install Maven" in one_line(error)


def test_go_is_found_where_it_is(path: Path) -> None:
    assert not machine.has_go()
    put(path, "go", "exit 0")
    assert machine.has_go()


def test_another_python_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sys, "version_info", (3, 9, 1))
    with pytest.raises(SetupError) as error:
        machine.check_python()
    assert "found 3.9" in one_line(error)
