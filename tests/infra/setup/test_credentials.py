import os
import stat
from pathlib import Path

from pydantic import SecretStr

from infra.setup import credentials
from ingestion.settings import (
    AirflowSettings,
    KafkaSettings,
    LakeSettings,
    Section,
    StoreSettings,
    SupersetSettings,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_every_credential_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / ".env"

    credentials.complete(path, {})

    values = credentials.values(path)
    assert mode(path) == 0o600
    assert set(credentials.credentials()) <= set(values)
    assert all(len(value) >= 12 for name, value in values.items() if not name.endswith("PORT"))


def test_no_two_generated_values_are_equal(tmp_path: Path) -> None:
    for name in ("a", "b"):
        credentials.complete(tmp_path / name, {})

    values = [
        credentials.values(tmp_path / name)[key]
        for name in "ab"
        for key in credentials.credentials()
    ]

    assert len(set(values)) == len(values)


def test_a_value_that_is_there_stays_and_a_missing_one_is_added(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# mine\nKAFKA_ADMIN_PASSWORD=chosen by me\nSTORE_PORT=1234\n")

    added = credentials.complete(path, {"STORE_KIND": "s3proxy"})

    values = credentials.values(path)
    assert values["KAFKA_ADMIN_PASSWORD"] == "chosen by me"
    assert values["STORE_PORT"] == "1234"
    assert values["STORE_KIND"] == "s3proxy"
    assert "KAFKA_ADMIN_PASSWORD" not in added
    assert "KAFKA_PORT" not in added, "a file that exists keeps its ports, the default ones too"
    assert path.read_text().startswith("# mine\n")


def test_an_empty_value_counts_as_missing_and_leaves_one_line(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("KAFKA_ADMIN_PASSWORD=\n")

    credentials.complete(path, {})

    lines = [line for line in path.read_text().splitlines() if line.startswith("KAFKA_ADMIN_")]
    assert len(lines) == 1
    assert lines[0] != "KAFKA_ADMIN_PASSWORD="


def test_a_complete_file_is_not_touched_but_made_private(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    credentials.complete(path, {})
    before = path.read_bytes()
    path.chmod(0o644)

    assert credentials.complete(path, {}) == []

    assert path.read_bytes() == before
    assert mode(path) == 0o600


def test_a_umask_does_not_open_the_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        credentials.complete(tmp_path / ".env", {})
    finally:
        os.umask(before)

    assert mode(tmp_path / ".env") == 0o600


def test_every_secret_that_a_setting_needs_is_generated() -> None:
    needed = set().union(*map(secret_variables, (KafkaSettings, StoreSettings, LakeSettings)))
    # Their others are addresses, which nobody can make up.
    needed |= secret_variables(AirflowSettings) - {"AIRFLOW_DATABASE_URL", "AIRFLOW_WEBHOOK_URL"}
    needed |= secret_variables(SupersetSettings) - {"SUPERSET_DATABASE_URL", "SUPERSET_GOLD_URL"}
    assert needed == {
        name for name in credentials.credentials() if not name.endswith("_ACCESS_KEY")
    }


def secret_variables(section: type[Section]) -> set[str]:
    prefix = str(section.model_config["env_prefix"]).upper()
    secret = SecretStr | None
    return {
        prefix + name.upper()
        for name, field in section.model_fields.items()
        if field.annotation == secret
    }
