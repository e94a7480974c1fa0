"""The auditor's own list of variable names, against the components' settings."""

from pathlib import Path

import pytest

from audit import names
from audit.errors import SettingsError
from audit.settings import Settings
from ingestion import settings, variables


def test_the_auditor_knows_the_names_that_the_components_know() -> None:
    assert settings.known() == names.KNOWN
    assert variables.INTERNAL == names.INTERNAL


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n# x\nSTORE_PORT=1\n\ngarbage\n", "line 5: expected NAME=value"),
        ("STORE_PORT\n", "line 1: expected NAME=value"),
        ("STORE_PROT=1\n", "line 1: unknown setting STORE_PROT; did you mean STORE_PORT"),
    ],
)
def test_a_wrong_line_is_named_and_not_quoted(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "env"
    file.write_text(text)
    with pytest.raises(SettingsError, match=said) as error:
        names.check(file, {})
    assert "garbage" not in str(error.value)


def test_a_name_of_ours_in_the_environment_is_refused_and_one_of_others_is_not(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError, match="LAND_MAX_AGE; did you mean LAND_MAX_AGE_S"):
        names.check(tmp_path / "none", {"LAND_MAX_AGE": "1"})
    others = dict.fromkeys(("KAFKA_HEAP_OPTS", "KAFKA_OPTS", "STORE_SERVICE_HOST", "PATH"), "1")
    assert names.check(tmp_path / "none", others) == []
    (warning,) = names.check(tmp_path / "none", {"KAFKA_BOOTSTRAP_SERVER": "x"})
    assert "KAFKA_BOOTSTRAP_SERVERS" in warning


def test_secrets_are_not_in_the_settings_text(tmp_path: Path) -> None:
    settings = Settings({"STORE_AUDITOR_SECRET_KEY": "not-to-be-shown"}, tmp_path / "env")
    assert "not-to-be-shown" not in repr(settings)
