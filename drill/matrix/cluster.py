"""A Kafka cluster and a store of the drill's own, as processes without a supervisor.

Nothing here is started again by itself: what a row kills stays dead until the row heals it. Every
process carries the mark of ``infra.local.environment``, by which `Cluster.down` also finds what
lost its parent. Broker 1 leads what coordinates, the others lead the data: either can be taken away
alone.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from drill.matrix import disk
from drill.matrix.detour import Detour
from drill.matrix.errors import UnsettledError
from drill.matrix.process import Process
from drill.matrix.waiting import until
from infra.local import acls, config, files, kafka, processes, scratch, services, store, topics
from infra.local.layout import Layout
from infra.local.ports import HOST
from ingestion.errors import StackError
from ingestion.settings import ROOT, known

COORDINATOR: Final = 1
# Small heaps and one collector thread: three brokers share two cores with what is under test.
_MEMORY: Final = ("-Xms128m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
OFFSETS: Final = "__consumer_offsets"
_OFFSETS_PARTITIONS: Final = 8
_START_S: Final = 180.0
_REQUEST_S: Final = 20.0
_PROBE_S: Final = 5.0
_BROKER: Final = {
    # Soon after a follower stops, the others go on without it.
    "replica.lag.time.max.ms": "3000",
    # The session that classic members ask for by themselves; 45 s by default.
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.heartbeat.interval.ms": "1500",
    "group.consumer.min.heartbeat.interval.ms": "1500",
    # Soon after a broker is back, it leads again what it did.
    "leader.imbalance.check.interval.seconds": "2",
    "leader.imbalance.per.broker.percentage": "0",
    # Long enough to stand still, be left behind by the data and still be the coordinator.
    "broker.session.timeout.ms": "30000",
}


def forget(home: Path) -> None:
    """End what is left of an earlier cluster in this folder, and delete it.

    Raises:
        StackError: a file system that is mounted below it can not be unmounted.
        OSError: something cannot be deleted.
    """
    processes.end(processes.of_stack((home / "var").resolve()))
    disk.unmount_below(home)
    if home.exists():
        shutil.rmtree(home)


class Cluster:
    """Some brokers (three, or one for quick rows) and a store, on ports of their own."""

    def __init__(self, home: Path, size: int = 3) -> None:
        self.size = size
        self._home = home
        self._processes: list[Process] = []
        ports = scratch.choose_ports(2 * size)
        pairs = zip(ports[:size], ports[size:], strict=True)
        self._broker_ports = dict(enumerate(pairs, start=1))  # (clients, controllers)
        self.detour = Detour.plan([*self._broker_ports])

    def up(self) -> None:
        """Start everything, empty; the settings are in force in this process from here on.

        Raises:
            StackError: a tool is missing, or something does not become healthy.
        """
        for name in known() & os.environ.keys():
            del os.environ[name]  # an exported setting would take the place of the cluster's own
        os.environ.update(scratch.prepare(self._home, self._settings()))
        self.layout.make_folders()
        self.layout.log.mkdir(exist_ok=True)
        self._format()
        for process in [self.store, *self.brokers.values()]:
            process.start()
        self._wait_until_healthy()
        self._provision()

    def down(self) -> None:
        """Stop every process of the cluster, also those that lost their parent."""
        for process in self.brokers.values():
            if process.is_running:
                process.kill()  # the last of three would wait for a quorum for minutes
        processes.end(processes.of_stack(self.layout.state))
        for process in self._processes:
            process.reap()

    @cached_property
    def layout(self) -> Layout:
        """Settings and folders."""
        return Layout.load()

    @cached_property
    def brokers(self) -> dict[int, Process]:
        """The brokers by their ids."""
        return {number: self._broker(number) for number in self._broker_ports}

    def data(self, number: int) -> Path:
        """Return where a broker keeps its logs."""
        return self.layout.state / "kafka" / f"broker-{number}"

    @cached_property
    def store(self) -> Process:
        """The object store."""
        one = services.service("store", self.layout)
        for name, text in one.files.items():
            files.write_private(self.layout.run / name, text)
        return self.process("store", one.command, one.environment)

    @property
    def admin(self) -> AdminClient:
        """A new client of the super user: an old one may wait for a broker that is gone."""
        return AdminClient(self.connection())

    def connection(self, via: int | None = None) -> dict[str, Any]:
        """Return a client's settings as the super user, who knows all brokers or asks one first."""
        known = {**self.layout.kafka.client("admin"), "log_level": 0}
        if via is None:
            return known
        return known | {"bootstrap.servers": f"{HOST}:{self._broker_ports[via][0]}"}

    def process(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Process:
        """Return a process that belongs to the cluster; it is not started yet."""
        own = {"PYTHONPATH": str(ROOT), **(environment or {})}
        log = self.layout.log / f"{name}.log"
        one = Process(name, command, log, self.layout.child_environment() | own)
        self._processes.append(one)
        return one

    def is_whole(self) -> bool:
        """Tell whether every broker is there, in sync, and leads what it was created to lead."""
        try:
            found = self.admin.list_topics(timeout=_PROBE_S)
        except KafkaException:
            return False
        parts = [p for t in found.topics.values() for p in t.partitions.values()]
        is_usual = all(len(p.isrs) == len(p.replicas) and p.leader == p.replicas[0] for p in parts)
        return len(found.brokers) == self.size and is_usual

    def settle(self) -> None:
        """Wait until every broker follows everything, and leads again what it led first.

        Raises:
            UnsettledError: one does not.
        """
        until(
            self.is_whole, _START_S, "every broker is in sync and leads as before", UnsettledError
        )

    def create_topic(
        self, name: str, replicas: Sequence[Sequence[int]], settings: Mapping[str, str]
    ) -> None:
        """Create a topic with these brokers for its partitions, the leader first."""
        brokers = [list(one) for one in replicas]
        new = NewTopic(name, len(brokers), replica_assignment=brokers, config=dict(settings))
        client = self.admin  # the request dies with its client
        try:
            client.create_topics([new], request_timeout=_REQUEST_S)[name].result(_REQUEST_S)
        except KafkaException as error:
            # A slow answer is not waited for but asked again: then this is the own success.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise

    def delete_topic(self, name: str) -> None:
        """Delete a topic."""
        client = self.admin
        client.delete_topics([name], request_timeout=_REQUEST_S)[name].result(_REQUEST_S)

    def declared(self) -> list[topics.Topic]:
        """Return the topics of ``infra/kafka/topics.yml``."""
        return topics.parse(files.declared("kafka/topics.yml", self.layout))

    def data_replicas(self, partitions: int) -> list[list[int]]:
        """Return the usual brokers of a topic's partitions: the coordinating one leads none."""
        if self.size == 1:
            return [[COORDINATOR]] * partitions
        others = [number for number in self._broker_ports if number != COORDINATOR]
        turned = [others[i % len(others) :] + others[: i % len(others)] for i in range(partitions)]
        return [[*leaders, COORDINATOR] for leaders in turned]

    def _settings(self) -> dict[str, str]:
        servers = ",".join(f"{HOST}:{port}" for port, _ in self._broker_ports.values())
        return {"KAFKA_BOOTSTRAP_SERVERS": servers}

    def _format(self) -> None:
        cluster, directories = kafka.new_id(), {n: kafka.new_id() for n in self._broker_ports}
        voters = ",".join(
            f"{number}@{HOST}:{controller}:{directories[number]}"
            for number, (_, controller) in self._broker_ports.items()
        )
        membership = ["--cluster-id", cluster, "--initial-controllers", voters]
        for number in self._broker_ports:
            text = self._properties(number)
            files.write_private(self.layout.run / f"broker-{number}.properties", text)
            kafka.run_storage_tool(self.layout, text, membership)

    def _properties(self, number: int) -> str:
        port, controller = self._broker_ports[number]
        own = self.layout.kafka.model_copy(update={"port": port, "controller_port": controller})
        quorum = ",".join(f"{HOST}:{controller}" for _, controller in self._broker_ports.values())
        copies, least = str(self.size), str(2 if self.size > 1 else 1)
        changed = {
            "node.id": str(number),
            "controller.quorum.bootstrap.servers": quorum,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "share.coordinator.state.topic.replication.factor": copies,
            "min.insync.replicas": least,
            **self.detour.properties(number, own),
            **_BROKER,
        }
        text = config.kafka_properties(replace(self.layout, kafka=own), self.data(number))
        return text + config.properties(changed)

    def _broker(self, number: int) -> Process:
        name = f"broker-{number}"
        return self.process(
            name, services.broker_command(self.layout, f"{name}.properties", _MEMORY)
        )

    def _wait_until_healthy(self) -> None:
        try:
            until(self._answers, _START_S, "every broker and the store answer", UnsettledError)
        except UnsettledError as error:
            raise StackError(f"the drill's cluster did not start: {error}; {self._logs()}") from (
                error
            )

    def _answers(self) -> bool:
        return self.is_whole() and services.health(services.service("store", self.layout)) is None

    def _logs(self) -> str:
        ended = [p for p in [self.store, *self.brokers.values()] if not p.is_running]
        return "; ".join(f"end of {p.log}:\n{files.last_lines(p.log)}" for p in ended)

    def _provision(self) -> None:
        settings = {"cleanup.policy": "compact"}
        order = [*self._broker_ports]  # the coordinating broker first
        self.create_topic(OFFSETS, [order] * _OFFSETS_PARTITIONS, settings)
        for topic in self.declared():
            self.create_topic(topic.name, self.data_replicas(topic.partitions), topic.config)
        client = self.admin
        acls.ensure(client, files.declared("kafka/acls.yml", self.layout), self.layout.kafka)
        store.provision(self.layout)
