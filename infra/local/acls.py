"""Make the broker's ACLs of our users equal to the declared ones."""

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from infra.local.propagation import wait_until
from ingestion.settings import KafkaSettings

TIMEOUT_S = 20.0
ANY_HOST = "*"

# librdkafka calls the cluster resource BROKER; its only name is this.
CLUSTER = "kafka-cluster"
RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "cluster": ResourceType.BROKER,
}
PATTERNS = {"literal": ResourcePatternType.LITERAL, "prefixed": ResourcePatternType.PREFIXED}


def parse(declaration: Mapping[str, Any], settings: KafkaSettings) -> set[AclBinding]:
    """Return the bindings of ``acls.yml`` for the user names in force."""
    return {
        binding
        for role, rules in declaration["roles"].items()
        for rule in rules
        for binding in _bindings(f"User:{getattr(settings, f'{role}_username')}", rule)
    }


def _bindings(principal: str, rule: Mapping[str, Any]) -> Iterable[AclBinding]:
    for name in rule.get("names", [CLUSTER]):
        for operation in rule["operations"]:
            yield AclBinding(
                RESOURCES[rule["resource"]],
                name,
                PATTERNS[rule.get("pattern", "literal")],
                principal,
                ANY_HOST,
                AclOperation[operation.upper()],
                AclPermissionType.ALLOW,
            )


def ensure(
    client: AdminClient, declaration: Mapping[str, Any], settings: KafkaSettings
) -> list[str]:
    """Create the missing ACLs and delete the undeclared ones of our users; return both.

    Raises:
        BrokerError: the broker does not act by them in time.
    """
    wanted = parse(declaration, settings)
    found = _in_force(client, wanted)
    changes = _create(client, wanted - found) + _delete(client, found - wanted)
    if changes:
        wait_until(lambda: _difference(client, wanted), "ACLs")
    return changes


def _in_force(client: AdminClient, wanted: set[AclBinding]) -> set[AclBinding]:
    principals = {binding.principal for binding in wanted}
    return {binding for principal in principals for binding in _describe(client, principal)}


def _difference(client: AdminClient, wanted: set[AclBinding]) -> list[str]:
    return sorted(_words(binding) for binding in wanted ^ _in_force(client, wanted))


def _describe(client: AdminClient, principal: str) -> list[AclBinding]:
    mine = AclBindingFilter(
        ResourceType.ANY,
        None,  # type: ignore[arg-type]  # any; the package's annotation leaves it out
        ResourcePatternType.ANY,
        principal,
        None,  # type: ignore[arg-type]  # as above
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    found: list[AclBinding] = client.describe_acls(mine, request_timeout=TIMEOUT_S).result(
        TIMEOUT_S
    )
    return found


def _create(client: AdminClient, bindings: set[AclBinding]) -> list[str]:
    if bindings:
        for future in client.create_acls(list(bindings), request_timeout=TIMEOUT_S).values():
            future.result(TIMEOUT_S)
    return [f"ACL {_words(binding)}" for binding in bindings]


def _delete(client: AdminClient, bindings: set[AclBinding]) -> list[str]:
    if bindings:
        filters = [_exactly(binding) for binding in bindings]
        for future in client.delete_acls(filters, request_timeout=TIMEOUT_S).values():
            future.result(TIMEOUT_S)
    return [f"removed undeclared ACL {_words(binding)}" for binding in bindings]


def _exactly(binding: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )


def _words(binding: AclBinding) -> str:
    operation, resource = _word(binding.operation), _word(binding.restype)
    return f"{binding.principal} {operation} on {resource} {binding.name}"


def _word(value: object) -> str:
    return str(getattr(value, "name", value)).lower()
