"""Key pairs that the command makes."""

import stat
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from tests.ingestion.snowflake.conftest import Shell


def test_keys_are_made_once_and_for_their_owner_alone(shell: Shell, tmp_path: Path) -> None:
    first = shell.run("keys", "--into", str(tmp_path / "new"))
    made = {path: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    second = shell.run("keys", "--into", str(tmp_path / "new"))

    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert {path.name for path in made} == {
        "admin.p8", "loader.p8", "transformer.p8", "reader.p8",
    }  # fmt: skip
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in made)
    assert {path: path.read_bytes() for path in made} == made
    settings = [line for line in second.stdout.splitlines() if not line.startswith("#")]
    assert settings == [
        f"SNOWFLAKE_{who.upper()}_PRIVATE_KEY_PATH={tmp_path}/new/{who}.p8"
        for who in ("admin", "loader", "transformer", "reader")
    ]


def test_the_statement_that_is_printed_has_the_public_key_of_the_file(
    shell: Shell, tmp_path: Path
) -> None:
    first = shell.run("keys", "--into", str(tmp_path / "new"))
    found = shell.run("keys", "--into", str(tmp_path / "new"))

    # Not the user's first key, which may be in use; and each time, since one may have missed it.
    assert "rsa_public_key =" not in found.stdout and first.stdout == found.stdout
    assert "# alter user <you> unset rsa_public_key_2;" in found.stdout
    text = found.stdout.partition("rsa_public_key_2 = '")[2].partition("'")[0]
    private = serialization.load_pem_private_key((tmp_path / "new/admin.p8").read_bytes(), None)
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert text == "".join(pem.decode().splitlines()[1:-1])
