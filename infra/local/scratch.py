"""Stacks for tests and benchmarks: ports, state and credentials of their own, beside any other."""

import random
from collections.abc import Mapping
from pathlib import Path

from infra.local import ports
from infra.setup import credentials

# Below Linux's ephemeral range: no outgoing connection takes one of these between choice and use.
_PORT_RANGE = range(20000, 32000)


def prepare(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Write the settings file of a stack whose files all lie in ``home``.

    ``extra`` are settings by their variable names. Returns the environment that puts the file in
    force.
    """
    home.mkdir(parents=True)
    env_file = home / "env"
    env_file.touch(mode=0o600)
    own = {"TAPEHOUSE_STATE_DIR": str(home / "var"), **free_ports(), **(extra or {})}
    credentials.complete(env_file, own)
    return {"TAPEHOUSE_ENV_FILE": str(env_file)}


def free_ports() -> dict[str, str]:
    """Return ports that nobody listens on, by the variable that sets them."""
    chosen = choose_ports(len(credentials.PORTS))
    return {name: str(port) for name, port in zip(credentials.PORTS, chosen, strict=True)}


def choose_ports(count: int) -> list[int]:
    """Return so many different ports that nobody listens on."""
    chosen: list[int] = []
    while len(chosen) < count:
        port = random.choice(_PORT_RANGE)  # noqa: S311 - not a secret
        if port not in chosen and ports.is_free(port):
            chosen.append(port)
    return chosen
