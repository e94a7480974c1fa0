"""Set up a checkout: Python environment, jars, object store, credentials.

Run by the system's Python before there is an environment, so it imports the standard library only.
Idempotent; near-free when everything is in place. Needs Java and Maven; without Go the store is
S3Proxy.
"""

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # instead of this folder, whose modules are not top-level ones

from infra.setup import artifacts, credentials, machine  # noqa: E402 - needs the path above
from infra.setup.artifacts import Artifact  # noqa: E402
from infra.setup.console import Console, SetupError  # noqa: E402
from infra.setup.python_env import PythonEnvironment  # noqa: E402
from infra.setup.spark_archive import SparkArchive  # noqa: E402

FALLBACK = (
    "Go is missing: the object store will be S3Proxy (the same S3 API, but no versioning and no "
    "policies); for MinIO install Go 1.24 or later, delete STORE_KIND from {env} and run this again"
)


def main(arguments: list[str] | None = None) -> int:
    """Set up, and return the exit code."""
    options = _parser().parse_args(arguments)
    began = time.monotonic()
    try:
        with _only_one(ROOT):
            set_up(ROOT, Console(total=7, quiet=options.quiet))
    except SetupError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run it again to go on\n")
        return 130
    if not options.quiet:
        sys.stdout.write(f"set-up is complete ({time.monotonic() - began:.1f} s)\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make setup", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quiet", action="store_true", help="print only what has to be done")
    return parser


def set_up(root: Path, console: Console) -> None:
    """Do what is missing, step by step.

    Raises:
        SetupError: something must be installed first, or a tool failed.
    """
    console.next()
    machine.check_python()
    machine.check_java()
    machine.check_maven()
    console.done_already("Java, Maven, Python")
    kind, chosen = choose_store(root, console)
    _python(root, console)
    for profile in ("kafka", "spark"):
        _artifact(artifacts.jars(profile, root, console), console)
    _store(kind, root, console)
    _settings(root, console, chosen)
    _artifact(SparkArchive(root, console), console)


def choose_store(root: Path, console: Console) -> tuple[str, dict[str, str]]:
    """Return the kind of store, and the settings that record a choice made here.

    Raises:
        SetupError: MinIO is asked for and there is no Go to build it.
    """
    asked = os.environ.get("STORE_KIND") or credentials.values(env_file(root)).get("STORE_KIND")
    server = artifacts.minio(root, console)
    can_have_minio = machine.has_go() or server.is_ready() or server.is_cached()
    if asked == "minio" and not can_have_minio:
        raise SetupError("Go is missing: install Go 1.24 or later, or set STORE_KIND=s3proxy")
    if asked or can_have_minio:
        return asked or "minio", {}
    console.say(FALLBACK.format(env=env_file(root)))
    return "s3proxy", {"STORE_KIND": "s3proxy"}


def env_file(root: Path) -> Path:
    """Return the settings file of this checkout."""
    return Path(os.environ.get("TAPEHOUSE_ENV_FILE") or root / ".env")


def _python(root: Path, console: Console) -> None:
    console.next()
    environment = PythonEnvironment(root, console)
    if environment.is_ready():
        console.done_already("Python environment")
        return
    with console.working("Python environment (a few minutes the first time)"):
        environment.make()


def _artifact(artifact: Artifact | SparkArchive, console: Console) -> None:
    console.next()
    if artifact.is_ready():
        console.done_already(artifact.label)
        return
    with console.working(artifact.label):
        artifact.make()


def _store(kind: str, root: Path, console: Console) -> None:
    if kind == "minio":
        _artifact(artifacts.minio(root, console), console)
    elif kind == "s3proxy":
        _artifact(artifacts.jars("s3proxy", root, console), console)
    else:
        console.next()
        console.done_already(f"object store (STORE_KIND={kind}, not a local one)")


def _settings(root: Path, console: Console, chosen: dict[str, str]) -> None:
    console.next()
    added = credentials.complete(env_file(root), chosen)
    if added:
        console.say(
            f"[{console.number}/{console.total}] {env_file(root)}: wrote {', '.join(added)}"
        )
    else:
        console.done_already("settings and credentials")


@contextmanager
def _only_one(root: Path) -> Iterator[None]:
    """Hold the checkout's set-up lock, waiting visibly."""
    (root / ".tools").mkdir(exist_ok=True)
    with (root / ".tools" / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stdout.write("another set-up of this checkout is at work; waiting for it\n")
            sys.stdout.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
