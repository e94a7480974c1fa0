"""Set-up against tools that are small scripts: what it calls, how often, and what it says."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.local import bootstrap
from infra.setup import artifacts, cache, credentials
from infra.setup.console import Console, SetupError
from ingestion.settings import ROOT

PYTHON = ".".join(map(str, sys.version_info[:3]))

MVN = """
for word in "$@"; do case "$word" in -Djars.dir=*) dir="${word#-Djars.dir=}";; esac; done
if [ -n "$MVN_FAILS" ]; then echo "BUILD FAILURE: no route to the registry"; exit 1; fi
echo jar > "$dir/one.jar"
"""
GO = 'printf "#!/bin/sh\\n" > "$GOBIN/minio"; chmod +x "$GOBIN/minio"'
UV = f"""
case "$1" in
  venv) for folder in "$@"; do :; done
        mkdir -p "$folder/bin"
        ln -s {sys.executable} "$folder/bin/python"
        echo "version_info = {PYTHON}" > "$folder/pyvenv.cfg";;
esac
"""

WARM_UP = """
import pathlib, sys
pathlib.Path(".tools/spark-0.jsa").touch()
with open({calls!r}, "a") as calls:
    print("spark_jobs", *sys.argv[1:], file=calls)
"""


def make_checkout(root: Path, calls: Path) -> None:
    """Lay out what set-up reads of a checkout."""
    for folder in ("infra/jars", ".tools", "spark_jobs"):
        (root / folder).mkdir(parents=True)
    (root / "infra" / "jars" / "pom.xml").write_text("<project/>")
    (root / "requirements.txt").write_text("a==1 --hash=sha256:00\n")
    (root / "spark_jobs" / "__main__.py").write_text(WARM_UP.format(calls=str(calls)))


class Machine:
    """A checkout, a cache and a PATH of scripts that record their calls."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = folder / "checkout"
        self.tools = folder / "bin"
        self.calls_file = folder / "calls"
        make_checkout(self.root, self.calls_file)
        self.tools.mkdir()
        for name in ("sh", "mkdir", "ln", "chmod"):
            (self.tools / name).symlink_to(f"/bin/{name}")
        patch.setenv("PATH", str(self.tools))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for name in ("JAVA_HOME", "STORE_KIND", "TAPEHOUSE_ENV_FILE"):
            patch.delenv(name, raising=False)
        self.put("java", "echo 'openjdk version \"17.0.1\"' >&2", record=False)
        self.put("mvn", MVN)
        self.put("go", GO)
        self.put("uv", UV)

    def put(self, name: str, script: str, record: bool = True) -> None:
        tool = self.tools / name
        note = f'echo "{name} $*" >> {self.calls_file}\n' if record else ""
        tool.write_text(f"#!{self.tools}/sh\n{note}{script}\n")
        tool.chmod(0o755)

    def without(self, name: str) -> None:
        (self.tools / name).unlink()

    def calls(self) -> list[str]:
        text = self.calls_file.read_text() if self.calls_file.exists() else ""
        self.calls_file.unlink(missing_ok=True)
        return [line for line in text.splitlines() if not line.endswith("--version")]

    def set_up(self, quiet: bool = False) -> None:
        bootstrap.set_up(self.root, Console(7, quiet=quiet))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_a_first_run_makes_everything_and_says_so(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.set_up()

    tools = machine.root / ".tools"
    assert (tools / "kafka-jars" / "one.jar").is_file()
    assert (tools / "spark-jars" / "one.jar").is_file()
    assert (tools / "minio").is_file()
    assert (machine.root / ".venv" / "bin" / "python").exists()
    assert set(credentials.credentials()) <= set(credentials.values(machine.root / ".env"))
    out = capsys.readouterr().out
    assert [f"[{n}/7]" in out for n in range(1, 8)] == [True] * 7


def test_a_second_run_calls_no_tool_and_prints_nothing_when_quiet(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.set_up()
    assert machine.calls()
    before = (machine.root / ".env").read_bytes()
    capsys.readouterr()

    machine.set_up(quiet=True)

    assert machine.calls() == []
    assert capsys.readouterr().out == ""
    assert (machine.root / ".env").read_bytes() == before


def test_the_store_is_built_by_the_pinned_version(machine: Machine) -> None:
    machine.set_up()

    go = [call for call in machine.calls() if call.startswith("go ")]

    assert go == [
        f"go install -trimpath -ldflags -s -w {artifacts.MINIO}@{artifacts.MINIO_VERSION}"
    ]


def test_packages_are_checked_by_hash_with_uv(machine: Machine) -> None:
    machine.set_up()
    wanted = ("uv pip sync", "--require-hashes", "--compile-bytecode")
    assert any(all(part in call for part in wanted) for call in machine.calls())


def pin_a_wheel_of_uv(machine: Machine, patch: pytest.MonkeyPatch) -> str:
    """Offer pip one package, whose uv records its calls; return its SHA-256."""
    wheel = machine.root / "wheels" / "uv-1-py3-none-any.whl"
    wheel.parent.mkdir()
    script = f'#!/bin/sh\necho "uv $*" >> {machine.calls_file}\n'
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("uv-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: uv\nVersion: 1\n")
        archive.writestr("uv-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        executable = zipfile.ZipInfo("uv-1.data/scripts/uv")
        executable.external_attr = 0o100755 << 16
        archive.writestr(executable, script)
        archive.writestr("uv-1.dist-info/RECORD", "")
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_without_uv_the_pinned_one_is_installed_and_installs_the_rest(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.without("uv")
    digest = pin_a_wheel_of_uv(machine, monkeypatch)
    (machine.root / "requirements.txt").write_text(
        f"ua==1 --hash=sha256:00\nuv==1 \\\n    --hash=sha256:{digest}\n    # via x\nuvz==1\n"
    )

    machine.set_up()

    wanted = ("uv pip sync", "--require-hashes", "--compile-bytecode")
    assert any(all(part in call for part in wanted) for call in machine.calls())


def test_without_uv_the_pinned_one_is_checked_by_hash(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.without("uv")
    pin_a_wheel_of_uv(machine, monkeypatch)
    wrong = "0" * 64
    (machine.root / "requirements.txt").write_text(f"uv==1 \\\n    --hash=sha256:{wrong}\n")

    with pytest.raises(SetupError, match="DO NOT MATCH THE HASHES"):
        machine.set_up()


def test_without_uv_a_lock_file_without_it_is_refused(machine: Machine) -> None:
    machine.without("uv")

    with pytest.raises(SetupError, match="expected uv to be pinned in"):
        machine.set_up()


def test_a_changed_lock_file_is_installed_again(machine: Machine) -> None:
    machine.set_up()
    machine.calls()
    (machine.root / "requirements.txt").write_text("a==2 --hash=sha256:00\n")

    machine.set_up()

    calls = machine.calls()
    assert [call.split()[:2] for call in calls] == [["uv", "pip"], ["spark_jobs", "warm-up"]]


def test_an_interrupted_install_is_not_taken_for_a_finished_one(machine: Machine) -> None:
    machine.put("uv", UV + '[ "$1" = pip ] && { echo "hash mismatch"; exit 2; }; exit 0')
    with pytest.raises(SetupError, match="hash mismatch"):
        machine.set_up()

    machine.put("uv", UV)
    machine.set_up()

    assert any("uv pip sync" in call for call in machine.calls())


def test_another_checkout_takes_everything_from_the_cache(machine: Machine, tmp_path: Path) -> None:
    machine.set_up()
    machine.calls()
    second = tmp_path / "second"
    make_checkout(second, machine.calls_file)

    bootstrap.set_up(second, Console(7))

    assert {call.split()[0] for call in machine.calls()} == {"uv", "spark_jobs"}
    assert (second / ".tools" / "minio").is_file()


def test_another_pom_resolves_again(machine: Machine) -> None:
    machine.set_up()
    machine.calls()
    (machine.root / "infra" / "jars" / "pom.xml").write_text("<project><!-- newer --></project>")

    machine.set_up()

    assert [call.split()[0] for call in machine.calls()] == ["mvn", "mvn", "spark_jobs"]


def test_a_corrupted_cache_entry_is_made_again(machine: Machine) -> None:
    machine.set_up()
    machine.calls()
    (machine.root / ".tools" / "kafka-jars" / "one.jar").write_text("garbage from a bad disk")

    machine.set_up()

    assert [call.split()[0] for call in machine.calls()] == ["mvn"]
    assert (machine.root / ".tools" / "kafka-jars" / "one.jar").read_text() == "jar\n"


def test_a_failing_tool_ends_it_with_its_last_lines_and_its_log(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MVN_FAILS", "1")

    with pytest.raises(SetupError) as failure:
        machine.set_up()

    assert "no route to the registry" in str(failure.value)
    assert "setup-kafka-jars.log" in str(failure.value)
    assert not list((cache.root() / "jars").iterdir()), "a failed build leaves no entry"


@pytest.mark.parametrize(("tool", "words"), [("java", "install Java 17"), ("mvn", "install Maven")])
def test_a_missing_tool_is_named_in_one_line(machine: Machine, tool: str, words: str) -> None:
    machine.without(tool)

    with pytest.raises(SetupError, match=words) as failure:
        machine.set_up()

    assert "\n" not in str(failure.value)
    assert machine.calls() == []


def test_without_go_the_store_is_s3proxy_and_the_settings_say_so(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.without("go")

    machine.set_up()

    assert "Go is missing" in capsys.readouterr().out
    assert credentials.values(machine.root / ".env")["STORE_KIND"] == "s3proxy"
    assert (machine.root / ".tools" / "s3proxy-jars" / "one.jar").is_file()
    machine.calls()
    machine.set_up(quiet=True)
    assert machine.calls() == []


def test_without_go_a_cached_server_serves(machine: Machine) -> None:
    machine.set_up()
    machine.without("go")
    (machine.root / ".tools" / "minio").unlink()

    machine.set_up()

    assert (machine.root / ".tools" / "minio").is_file()
    assert "STORE_KIND" not in credentials.values(machine.root / ".env")


def test_minio_on_purpose_without_go_is_an_error(machine: Machine) -> None:
    machine.without("go")
    (machine.root / ".env").write_text("STORE_KIND=minio\n")

    with pytest.raises(SetupError, match="install Go"):
        machine.set_up()


def test_a_store_elsewhere_needs_no_server(machine: Machine) -> None:
    (machine.root / ".env").write_text("STORE_KIND=s3\n")

    machine.set_up()

    assert not any(call.startswith("go") or "s3proxy" in call for call in machine.calls())


def test_the_command_needs_nothing_but_the_standard_library() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "infra" / "local" / "bootstrap.py", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--quiet" in done.stdout


def test_an_expected_failure_is_one_line_and_exit_code_1(machine: Machine) -> None:
    machine.without("mvn")
    done = subprocess.run(
        [sys.executable, ROOT / "infra" / "local" / "bootstrap.py"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(machine.tools), "HOME": str(machine.root)},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: Maven is missing")
    assert len(done.stderr.splitlines()) == 1


def test_two_set_ups_of_a_checkout_wait_for_each_other(machine: Machine) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from infra.local import bootstrap\n"
        f"with bootstrap._only_one(Path({str(machine.root)!r})): print('got it', flush=True)\n"
    )
    with bootstrap._only_one(machine.root):
        waiting = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
        )
        assert waiting.stdout is not None
        first = waiting.stdout.readline()
    with waiting:
        rest = waiting.stdout.read()

    assert "waiting" in first
    assert rest == "got it\n"
