"""Services that no supervisor of this machine runs: asked over the network, as containers are.

Asked as the auditor, who may look at everything and change nothing: tasks have his password.
"""

from collections.abc import Callable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.local import airflow
from infra.local.layout import Layout
from infra.local.services import AIRFLOW, PROBE_TIMEOUT_S, Service, ServiceName, probe_http
from ingestion.errors import StackError


def is_meant(layout: Layout) -> bool:
    """Tell whether the settings say that both Kafka and the store are others' processes."""
    return bool(layout.kafka.bootstrap_servers and layout.store.endpoint)


def services(layout: Layout) -> list[Service]:
    """Return what there is to ask; Airflow's services where its address is set."""
    found: dict[ServiceName, Callable[[], None]] = {
        "kafka": lambda: _kafka(layout),
        "store": lambda: probe_http(layout.store.url()),
        "lander": lambda: _lander(layout),
    }
    if layout.airflow.api_url:
        found |= {name: _airflow(layout, name) for name in AIRFLOW}
    return [Service(name, command=(), probe=probe) for name, probe in found.items()]


def _kafka(layout: Layout) -> None:
    try:
        _client(layout).list_topics(timeout=PROBE_TIMEOUT_S)
    except KafkaException as error:
        raise StackError(f"does not answer at {layout.kafka.servers()}: {error}") from error


def _lander(layout: Layout) -> None:
    """Return where the landers' group has a member: their own reports are on their machines."""
    group = layout.kafka.landers_group
    client = _client(layout)  # the request dies with its client: keep it until the answer is here
    try:
        asked = client.describe_consumer_groups([group], request_timeout=PROBE_TIMEOUT_S)
        members = asked[group].result().members
    except KafkaException as error:
        raise StackError(f"group {group}: {error}") from error
    if not members:
        raise StackError(f"no lander is in the group {group}")


def _airflow(layout: Layout, name: str) -> Callable[[], None]:
    return lambda: airflow.probe(layout, name)


def _client(layout: Layout) -> AdminClient:
    return AdminClient({**layout.kafka.client("auditor"), "log_level": 0})
