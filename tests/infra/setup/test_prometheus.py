import shutil
from pathlib import Path

import pytest

from infra.setup import prometheus
from infra.setup.console import Console, SetupError


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with the shell's own tools alone, and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "mkdir", "touch", "chmod"):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def put(folder: Path, name: str, script: str = "") -> Path:
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return tool


def ensure(tmp_path: Path) -> str:
    return prometheus.ensure("promtool", Console(total=1), tmp_path / "prometheus.log")


def test_the_one_on_the_path_is_taken(path: Path, tmp_path: Path) -> None:
    tool = put(path, "promtool")
    assert ensure(tmp_path) == str(tool)


def test_a_machine_without_apt_is_told_the_package(path: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="apt install prometheus"):
        ensure(tmp_path)


def test_debian_s_is_unpacked_once_and_not_installed(path: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    put(path, "apt-get", f'echo "$*" >>{calls}; touch prometheus_1_amd64.deb')
    # dpkg-deb --extract ARCHIVE FOLDER
    put(path, "dpkg-deb", 'mkdir -p "$3/usr/bin"; touch "$3/usr/bin/promtool"')
    found = ensure(tmp_path)
    assert found == ensure(tmp_path)
    assert Path(found).is_relative_to(tmp_path / "cache")
    assert calls.read_text() == "download prometheus\n"
    assert not list((tmp_path / "cache").rglob("*.deb"))


def test_a_package_without_the_program_fails(path: Path, tmp_path: Path) -> None:
    put(path, "apt-get", "touch prometheus_1_amd64.deb")
    put(path, "dpkg-deb")
    with pytest.raises(SetupError, match="holds no promtool"):
        ensure(tmp_path)
