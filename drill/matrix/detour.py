"""A second way to brokers and store for one lander: over relays, where it can be cut alone.

A Kafka client goes where the brokers tell it to. So each broker has one more listener, which
announces not itself but a relay. Where the relays will listen is decided before the brokers start;
the relays, and the network around the lander, are made by the row that needs them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from drill.matrix.control import Helper, command, text
from drill.matrix.network import (
    NamespaceNetwork,
    Network,
    Pair,
    RelayedNetwork,
    Side,
    choose_pairs,
    why_no_namespace,
)
from drill.matrix.process import Process
from infra.local import config, scratch
from infra.local.ports import HOST
from ingestion.settings import KafkaSettings

_LISTENER: Final = "RELAYED"


@dataclass(frozen=True)
class Detour:
    """Ports of the relays, and the addresses at which a lander finds them."""

    brokers: Mapping[int, tuple[int, int]]
    """Broker to (port of its listener, port of the relay that this announces)."""

    store: int
    control: int
    pairs: Mapping[Side, Pair] | None
    why_no_namespace: str | None

    @classmethod
    def plan(cls, brokers: Sequence[int]) -> Self:
        """Choose ports and addresses for the brokers of these numbers and a store."""
        store, control, *ports = scratch.choose_ports(2 + 2 * len(brokers))
        pairs = zip(ports[: len(brokers)], ports[len(brokers) :], strict=True)
        reason = why_no_namespace()
        chosen = None if reason else choose_pairs()
        return cls(dict(zip(brokers, pairs, strict=True)), store, control, chosen, reason)

    def properties(self, number: int, kafka: KafkaSettings) -> dict[str, str]:
        """Return what a broker's configuration needs for its second listener."""
        own, relay = self.brokers[number]
        usual = f"CLIENT://{HOST}:{kafka.port},CONTROLLER://{HOST}:{kafka.controller_port}"
        protocols = "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT"
        prefix = f"listener.name.{_LISTENER.lower()}"
        return {
            "listeners": f"{usual},{_LISTENER}://{HOST}:{own}",
            "advertised.listeners": f"{usual},{_LISTENER}://{self._host('kafka')}:{relay}",
            "listener.security.protocol.map": f"{protocols},{_LISTENER}:SASL_PLAINTEXT",
            f"{prefix}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            f"{prefix}.scram-sha-512.sasl.jaas.config": config.jaas("scram.ScramLoginModule"),
        }

    def settings(self) -> tuple[tuple[str, str], ...]:
        """Return the settings of a lander that goes this way."""
        servers = [text(self._host("kafka"), relay) for _, relay in self.brokers.values()]
        store = text(self._host("store"), self.store)
        return (
            ("KAFKA_BOOTSTRAP_SERVERS", ",".join(servers)),
            ("STORE_ENDPOINT", f"http://{store}"),
        )

    def open(
        self, processes: Callable[[str, Sequence[str]], Process], store_port: int
    ) -> tuple[Network, Callable[[], None]]:
        """Make the network and start the relays; return it, and what takes both down.

        Raises:
            StackError: one of them could not be made.
        """
        own = NamespaceNetwork(self.pairs) if self.pairs else None
        relays = Helper(processes("relays", self._command(store_port)), self.control)
        network: Network = own or RelayedNetwork(relays)

        def close() -> None:
            relays.stop()
            network.close()

        return network, close

    def _command(self, store_port: int) -> list[str]:
        words = ["--store", self._relay("store", self.store, store_port)]
        for own, relay in self.brokers.values():
            words += ["--kafka", self._relay("kafka", relay, own)]
        return command("relay", self.control, *words)

    def _relay(self, side: Side, here: int, there: int) -> str:
        return f"{text(self._host(side), here)}={text(HOST, there)}"

    def _host(self, side: Side) -> str:
        return self.pairs[side].address(1) if self.pairs else HOST
