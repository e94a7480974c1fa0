"""No secret-looking literal in what git tracks or would track (T16)."""

import re
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from ingestion.settings import ROOT, StoreRole

HASH_LINE = re.compile(r"^\s*--hash=sha256:[0-9a-f]{64}( \\)?$")
NAME = r"[\w.-]*(?:password|passwd|secret|token|api_?key|access_?key|private_?key)[\w.-]*"
LITERALS = {
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "cloud access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "signed token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\."),
    "password in a URL": re.compile(
        r"\b[a-z][a-z0-9+]*://[^\s/:@\"'{}$<>]+:(?=[^@\s]*[0-9])[^\s/@\"'{}$<>]{8,}@"
    ),
    "assigned secret": re.compile(
        rf"(?i)\b{NAME}[\"']?\s*[:=]\s*[\"']?(?=[^\s\"']*[0-9])(?=[^\s\"']*[a-z])[\w+/=-]{{16,}}"
    ),
    "long random string": re.compile(
        r"(?<![\w/+.=:-])(?=[\w+/-]*[0-9])(?=[\w+/-]*[a-z])(?=[\w+/-]*[A-Z])[A-Za-z0-9+/_-]{40,}(?![\w/+.-])"
    ),
}

# Frames that a client's own repository publishes: protobuf as base64 is long and looks random.
PUBLISHED_FRAMES = "tests/ingestion/fakes/samples/yahoo/stream.json"


def tracked() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listing.stdout.split("\0") if name]


def findings(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not HASH_LINE.match(line)]
    return [
        f"{kind}: {line.strip()[:80]}"
        for line in lines
        for kind, pattern in LITERALS.items()
        if pattern.search(line)
    ]


def test_no_tracked_file_holds_a_secret_looking_literal() -> None:
    files = [path for path in tracked() if path.is_file()]
    assert len(files) > 20
    found = {
        str(path.relative_to(ROOT)): findings(path.read_text(errors="ignore")) for path in files
    }
    frames = found.pop(PUBLISHED_FRAMES)
    assert [line[:29] for line in frames] == ['long random string: "message"']
    assert not {name: lines for name, lines in found.items() if lines}


@pytest.mark.parametrize(
    "planted",
    [
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "key = AKIA" + "IOSFODNN7EXAMPLE",
        "KAFKA_ADMIN_PASSWORD=" + "q7Zk1" + "v9Xw3Rt5Yp2Lm8Nb",
        'secret_key: "' + "a1b2c3d4" * 4 + '"',
        "postgresql://admin:" + "hunter2hunter@db/x",
        "x = '" + "aB3" * 15 + "'",
    ],
)
def test_a_planted_secret_is_found(planted: str) -> None:
    assert findings(f"first line\n{planted}\n")


def test_settings_and_state_are_ignored_by_git() -> None:
    for name in (".env", "var/run/kafka.properties", ".tools/minio", ".venv/bin/python"):
        done = subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False)
        assert done.returncode == 0, name


def test_no_policy_is_open_to_everybody() -> None:
    paths = sorted((ROOT / "infra" / "store").glob("*.json"))
    assert {path.stem for path in paths} == set(get_args(StoreRole)) - {"root"}
    for path in paths:
        text = path.read_text()
        assert "Principal" not in text, path.name
        assert '"s3:*"' not in text, path.name
        assert '"*"' not in text, path.name
