"""Secrets are found where none may be, and are never told."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.leaks import of_settings, search
from audit.report import render
from tests.audit.test_plants import violated
from tests.audit.world import QUOTES, World


@given(st.integers(0, 30), st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_a_secret_is_found_wherever_a_stream_is_cut(at: int, cuts: list[int]) -> None:
    text = b"x" * at + b"not-to-be-shown" + b"y" * 20
    places = [sum(cuts[:n]) for n in range(len(cuts) + 1)]
    blocks = [text[a:b] for a, b in zip(places, [*places[1:], len(text)], strict=True)]
    assert search({"KAFKA_ADMIN_PASSWORD": b"not-to-be-shown"}, blocks) == ["KAFKA_ADMIN_PASSWORD"]
    assert search({"KAFKA_ADMIN_PASSWORD": b"not-to-be-there"}, blocks) == []


def test_secrets_are_those_of_our_settings_that_are_long_enough_to_be_some() -> None:
    values = {
        "KAFKA_ADMIN_PASSWORD": "12345678",
        "STORE_ROOT_SECRET_KEY": "short",
        "LAKE_CLUSTER_SECRET": "abcdefgh",
        "A_PASSWORD": "12345678",
    }
    values |= {"KAFKA_ADMIN_USERNAME": "an administrator"}
    assert of_settings(values) == {
        "KAFKA_ADMIN_PASSWORD": b"12345678",
        "LAKE_CLUSTER_SECRET": b"abcdefgh",
    }


@pytest.mark.integration
def test_a_secret_in_a_log_a_body_or_metadata_is_located_and_not_told(world: World) -> None:
    name = "STORE_LANDER_SECRET_KEY"
    secret = world.settings.require(name)
    log: Path = world.settings.state("log", "planted.log")
    log.write_text(f"sending {secret}\n")
    first, second = world.key(QUOTES, 2, 0), world.key(QUOTES, 2, 4)
    original = world.get(first)
    noted = replace(original, metadata=original.metadata | {"note": secret})
    line = world.line(QUOTES, 2, 4).replace(b'"AAPL"', b'"%s"' % secret.encode())
    with world.instead(first, noted), world.instead(second, world.stored(second, line, 8, [4])):
        verdict = world.audit(stages=("bronze",), secrets=True)
    log.unlink()
    assert [check.examples for check in violated(verdict, "secrets.logs")] == [
        (f"{name} in {log}",)
    ]
    (found,) = violated(verdict, "secrets.bronze")
    assert found.examples == (f"{name} in {first}", f"{name} in {second}")
    assert secret not in render(verdict) + str(verdict.document())
    clean = world.audit(stages=("bronze",), secrets=True)
    assert clean.verdict == "ok", render(clean)
