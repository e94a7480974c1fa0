from pathlib import Path

import pytest

from ingestion import logs, variables
from ingestion.errors import SettingsError
from ingestion.settings import (
    SECTIONS,
    AlphaVantageSettings,
    FinnhubSettings,
    KafkaSettings,
    LandSettings,
    ProjectSettings,
    ProviderSettings,
    StoreSettings,
    WarehouseSettings,
    known,
)


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file of the test's own, in force."""
    path = tmp_path / "env"
    path.touch()
    for section in SECTIONS:
        for name in section.variables():
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(path))
    return path


def test_a_value_comes_from_the_file_and_the_environment_wins(
    env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env.write_text("KAFKA_PORT=1234\n")
    assert KafkaSettings.load().servers() == "127.0.0.1:1234"

    monkeypatch.setenv("KAFKA_PORT", "4321")
    assert KafkaSettings.load().servers() == "127.0.0.1:4321"


def test_an_unknown_name_is_refused_and_named(env: Path) -> None:
    env.write_text("KAFKA_PORT=1234\nKAFKA_PROT=1234\n")

    with pytest.raises(SettingsError, match=r"line 2: unknown setting KAFKA_PROT; .* KAFKA_PORT"):
        KafkaSettings.load()


@pytest.mark.parametrize("line", ["garbage", "KAFKA_PORT", "=5", 'A="unended', "KAFKA PORT=1"])
def test_a_line_that_sets_nothing_is_refused_with_its_number_and_not_quoted(
    env: Path, line: str
) -> None:
    env.write_text(f"# ports\n\nKAFKA_PORT=1\n\n{line}\n")

    with pytest.raises(SettingsError, match=r"env, line 5: expected NAME=value$"):
        KafkaSettings.load()


def test_comments_quotes_and_export_are_fine(env: Path) -> None:
    env.write_text("# x\n\nexport KAFKA_PORT='7'  # y\nSTORE_ENDPOINT=\n")
    assert KafkaSettings.load().port == 7


@pytest.mark.parametrize(
    ("name", "closest"),
    [("LAND_MAX_AGE", "LAND_MAX_AGE_S"), ("TAPEHOUSE_STATEDIR", "TAPEHOUSE_STATE_DIR")],
)
def test_an_unknown_name_in_the_environment_is_refused_with_the_closest(
    env: Path, monkeypatch: pytest.MonkeyPatch, name: str, closest: str
) -> None:
    monkeypatch.setenv(name, "1")

    with pytest.raises(SettingsError, match=f"unknown setting {name}; did you mean {closest}"):
        KafkaSettings.load()


def test_what_other_programs_may_mean_is_a_warning(
    env: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure(debug=False)  # as a command does; whoever ran here before may have left another
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVER", "elsewhere:9092")
    KafkaSettings.load()
    StoreSettings.load()
    assert capfd.readouterr().err.count("did you mean KAFKA_BOOTSTRAP_SERVERS?") == 1


def test_what_others_set_and_what_we_set_for_each_other_is_let_pass() -> None:
    names = {"KAFKA_HEAP_OPTS", "KAFKA_OPTS", "KAFKA_HOME", "STORE_SERVICE_HOST"}
    names |= {"KAFKA_PORT_9092_TCP_ADDR", "PATH", *variables.INTERNAL}
    assert variables.check_environment(dict.fromkeys(names, "1"), known()) == []


def test_a_malformed_value_names_its_variable(env: Path) -> None:
    env.write_text("LAND_MAX_AGE_S=soon\n")

    with pytest.raises(SettingsError, match="LAND_MAX_AGE_S"):
        LandSettings.load()


def test_a_missing_password_names_its_variable(env: Path) -> None:
    with pytest.raises(SettingsError, match="KAFKA_PRODUCER_PASSWORD"):
        KafkaSettings.load().client("producer")
    with pytest.raises(SettingsError, match="STORE_LANDER_ACCESS_KEY"):
        StoreSettings.load().keys("lander")


def test_a_role_has_its_own_credentials(env: Path) -> None:
    env.write_text("KAFKA_PRODUCER_PASSWORD=one\nKAFKA_LANDER_PASSWORD=two\n")
    settings = KafkaSettings.load()

    assert settings.client("producer")["sasl.password"] == "one"
    assert settings.client("lander")["sasl.username"] == "lander"


def test_a_password_is_not_shown(env: Path) -> None:
    env.write_text("KAFKA_PRODUCER_PASSWORD=hunter2\n")

    assert "hunter2" not in repr(KafkaSettings.load())


def test_plain_text_needs_no_password(env: Path) -> None:
    env.write_text("KAFKA_SECURITY_PROTOCOL=PLAINTEXT\n")

    assert "sasl.password" not in KafkaSettings.load().client("producer")


def test_settings_do_not_change(env: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        KafkaSettings.load().port = 1


def test_state_lies_where_the_file_says(env: Path, tmp_path: Path) -> None:
    env.write_text(f"TAPEHOUSE_STATE_DIR={tmp_path}/state\n")

    assert ProjectSettings.load().state("log") == tmp_path / "state" / "log"
    assert WarehouseSettings.load().file().is_relative_to(tmp_path / "state")


def test_a_profile_of_the_lander_sets_what_is_not_set_by_itself(env: Path) -> None:
    default = LandSettings.load()
    env.write_text("LAND_PROFILE=fast\nLAND_MAX_BYTES=1000\n")

    fast = LandSettings.load()

    assert fast.max_bytes == 1000
    assert fast.budget_bytes > default.budget_bytes
    assert fast.queue_bytes > default.queue_bytes
    assert (default.trim_memory, fast.trim_memory) == (True, False)


def test_an_unknown_profile_is_refused_and_the_known_ones_are_named(env: Path) -> None:
    env.write_text("LAND_PROFILE=quick\n")

    with pytest.raises(SettingsError, match=r"LAND_PROFILE: .*'default' or 'fast'"):
        LandSettings.load()


@pytest.mark.parametrize(
    ("section", "name"),
    [(FinnhubSettings, "FINNHUB_API_KEY"), (AlphaVantageSettings, "ALPHAVANTAGE_API_KEY")],
)
@pytest.mark.parametrize("value", [None, "", "two words", "caf\u00e9", '"line\\nbreak"'])
def test_a_providers_key_that_is_missing_or_no_key_is_named_and_not_shown(
    env: Path, section: type[ProviderSettings], name: str, value: str | None
) -> None:
    env.write_text("" if value is None else f"{name}={value}\n")

    with pytest.raises(SettingsError, match=name) as caught:
        section.load().key()
    assert value is None or not value or value not in str(caught.value)


def test_a_providers_key_is_a_secret(env: Path) -> None:
    env.write_text("FINNHUB_API_KEY=abc123\n")
    settings = FinnhubSettings.load()

    assert settings.key() == "abc123"
    assert "abc123" not in repr(settings)


def test_a_providers_address_is_one(env: Path) -> None:
    env.write_text("FINNHUB_BASE_URL=finnhub.io\n")
    with pytest.raises(SettingsError, match="FINNHUB_BASE_URL"):
        FinnhubSettings.load()
