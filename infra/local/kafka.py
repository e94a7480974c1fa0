"""Kafka's side of the stack: format its storage, see that it answers, create what is declared."""

import base64
import hashlib
import json
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from infra.local import acls, config, files, topics
from infra.local.layout import Layout, java
from ingestion.errors import BrokerError, StackError
from ingestion.settings import KafkaRole

SCRAM_ITERATIONS = 8192
PROBE_TIMEOUT_S = 3.0
REQUEST_TIMEOUT_S = 20.0


def data_folder(layout: Layout) -> Path:
    """Return where the broker keeps its log."""
    return layout.state / "kafka" / "data"


def format_storage(layout: Layout) -> None:
    """Format the broker's storage with its users, unless that is already done.

    Formatting goes to another name first: an interrupted set-up leaves nothing half formatted.

    Raises:
        StackError: Kafka's own tool refused.
    """
    target = data_folder(layout)
    if target.exists():
        return
    draft = target.with_name("data.new")
    shutil.rmtree(draft, ignore_errors=True)
    membership = ["--standalone", "--cluster-id", new_id()]
    run_storage_tool(layout, config.kafka_properties(layout, draft), membership)
    draft.rename(target)
    _remember(layout, passwords(layout))


def new_id() -> str:
    """Return an id as Kafka writes them: 16 random bytes in base64 that are no option's name."""
    text = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
    return f"A{text[1:]}"


def run_storage_tool(layout: Layout, text: str, membership: Sequence[str]) -> None:
    """Format the storage that a broker's properties name, with the users that the settings give.

    ``membership`` are the tool's options that say whose cluster this is.

    Raises:
        StackError: Kafka's own tool refused.
    """
    properties = layout.run / "format.properties"
    arguments = layout.run / "format.args"
    files.write_private(properties, text)
    words = _format_arguments(layout, properties, membership)
    files.write_private(arguments, "\n".join(words) + "\n")
    try:
        # java reads the arguments from a file: on the command line every user could see them.
        done = subprocess.run(
            [java(), f"@{arguments}"], capture_output=True, text=True, check=False
        )
    finally:
        properties.unlink()
        arguments.unlink()
    if done.returncode:
        raise StackError(f"cannot format Kafka's storage: {(done.stderr or done.stdout).strip()}")


def _format_arguments(layout: Layout, properties: Path, membership: Sequence[str]) -> list[str]:
    words = ["-cp", f"{layout.tool('kafka-jars')}/*", "kafka.tools.StorageTool", "format"]
    words += [*membership, "--config", str(properties)]
    for user, password in passwords(layout).items():
        words += ["--add-scram", _scram(user, password)]
    return [_quoted(word) for word in words]


def _scram(user: str, password: str) -> str:
    # Salted here because the tool's own syntax has no way to write a comma or a bracket.
    salt = secrets.token_bytes(24)
    salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, SCRAM_ITERATIONS)
    return (
        f"SCRAM-SHA-512=[name={user},iterations={SCRAM_ITERATIONS},"
        f'salt="{_base64(salt)}",saltedpassword="{_base64(salted)}"]'
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def passwords(layout: Layout) -> dict[str, str]:
    """Return the password that the settings give each Kafka user."""
    clients = (layout.kafka.client(role) for role in get_args(KafkaRole))
    return {client["sasl.username"]: client["sasl.password"] for client in clients}


def _remembered(layout: Layout) -> dict[str, str]:
    path = layout.run / "kafka-users.json"
    users: dict[str, str] = json.loads(path.read_text()) if path.is_file() else {}
    return users


def _remember(layout: Layout, users: Mapping[str, str]) -> None:
    files.write_private(layout.run / "kafka-users.json", json.dumps(users, indent=1) + "\n")


def admin(layout: Layout) -> AdminClient:
    """Return a client of the super user, with the password that the broker knows him by now."""
    connection = layout.kafka.client("admin")
    known = _remembered(layout).get(connection["sasl.username"])
    return AdminClient(
        {**connection, "sasl.password": known or connection["sasl.password"], "log_level": 0}
    )


def probe(layout: Layout) -> None:
    """Return when the broker answers the super user.

    Raises:
        StackError: it does not.
    """
    client = admin(layout)  # the request dies with its client: keep it until the answer is here
    try:
        nodes = client.describe_cluster(request_timeout=PROBE_TIMEOUT_S).result().nodes
    except KafkaException as error:
        raise StackError(f"does not answer at {layout.kafka.servers()}: {_text(error)}") from error
    if not nodes:
        raise StackError("has no broker registered yet")


def provision(layout: Layout) -> list[str]:
    """Make users, topics and ACLs what the files declare; return what was changed.

    Raises:
        StackError: a topic exists with other values than declared.
        BrokerError: Kafka refused or did not answer.
    """
    try:
        changes = _set_passwords(layout)
        client = admin(layout)
        return changes + _create_topics(client, layout) + _set_acls(client, layout)
    except KafkaException as error:
        raise BrokerError(f"Kafka at {layout.kafka.servers()}: {_text(error)}") from error


def _set_passwords(layout: Layout) -> list[str]:
    wanted, known = passwords(layout), _remembered(layout)
    changed = {user: password for user, password in wanted.items() if known.get(user) != password}
    if not changed:
        return []
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, SCRAM_ITERATIONS)
    alterations: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(user, info, password.encode())
        for user, password in changed.items()
    ]
    client = admin(layout)
    _wait(client.alter_user_scram_credentials(alterations, request_timeout=REQUEST_TIMEOUT_S))
    _remember(layout, wanted)
    return [f"password of Kafka user {user}" for user in changed]


def _create_topics(client: AdminClient, layout: Layout) -> list[str]:
    return topics.ensure(client, files.declared("kafka/topics.yml", layout))


def _set_acls(client: AdminClient, layout: Layout) -> list[str]:
    return acls.ensure(client, files.declared("kafka/acls.yml", layout), layout.kafka)


def _wait(futures: Mapping[Any, Any]) -> None:
    for future in futures.values():
        future.result(REQUEST_TIMEOUT_S)


def _text(error: KafkaException) -> str:
    first = error.args[0] if error.args else error
    return first.str() if isinstance(first, KafkaError) else str(first)
