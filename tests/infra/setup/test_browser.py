import os
from pathlib import Path

import pytest

from infra.setup import browser
from infra.setup.console import Console, SetupError


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it, and no CHROME_BIN."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CHROME_BIN", raising=False)
    return folder


def put(folder: Path, name: str, script: str = "") -> Path:
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return tool


def ensure(tmp_path: Path) -> str:
    return browser.ensure(Console(total=1), tmp_path / "browser.log")


def as_user(monkeypatch: pytest.MonkeyPatch, user_id: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user_id)


@pytest.mark.parametrize("name", browser.NAMES)
def test_a_browser_on_the_path_is_taken(path: Path, tmp_path: Path, name: str) -> None:
    tool = put(path, name)
    assert ensure(tmp_path) == str(tool)


def test_the_one_that_is_named_comes_first(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(path, "chromium")
    own = put(tmp_path, "own-browser")
    monkeypatch.setenv("CHROME_BIN", str(own))
    assert ensure(tmp_path) == str(own)


def test_a_name_without_a_program_is_no_reason_to_take_another(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(path, "chromium")
    monkeypatch.setenv("CHROME_BIN", "/nowhere/chrome")
    with pytest.raises(SetupError, match="'/nowhere/chrome'"):
        ensure(tmp_path)


def test_who_may_not_install_is_told_the_package(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, 1000)
    put(path, "apt-get", f"echo called >{tmp_path / 'called'}")
    with pytest.raises(SetupError, match="apt install chromium"):
        ensure(tmp_path)
    assert not (tmp_path / "called").exists()


def test_a_machine_without_apt_is_told_the_package(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, 0)
    with pytest.raises(SetupError, match="apt install chromium"):
        ensure(tmp_path)


def test_root_gets_the_package(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    chromium, calls = path / "chromium", tmp_path / "calls"
    put(
        path,
        "apt-get",
        f'echo "$DEBIAN_FRONTEND $*" >>{calls}\n'
        f'case "$*" in *" chromium") printf "#!/bin/sh\\n" >{chromium}; '
        f"/bin/chmod 755 {chromium};; esac",
    )
    assert ensure(tmp_path) == str(chromium)
    updated, installed = calls.read_text().splitlines()
    assert updated.startswith("noninteractive") and updated.endswith("update")
    assert installed.endswith("install --yes --no-install-recommends chromium")


@pytest.mark.parametrize(
    ("code", "told"), [(100, "apt-get failed with exit code 100"), (0, "path")]
)
def test_an_install_that_brings_no_browser_fails(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, told: str
) -> None:
    as_user(monkeypatch, 0)
    put(path, "apt-get", f"exit {code}")
    with pytest.raises(SetupError, match=told):
        ensure(tmp_path)
