"""A process's Prometheus endpoint: metrics by HTTP, from a thread of its own."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.registry import Collector

from ingestion.errors import TapehouseError


class MetricsPortError(TapehouseError):
    """The metrics cannot be served where the settings say."""


def serve(address: str, port: int, collector: Collector, settings: str) -> Callable[[], None]:
    """Serve a collector's metrics and the process's own until the returned function is called.

    ``settings`` names the settings that say where, for the error's text.

    Raises:
        MetricsPortError: the port cannot be listened on.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(collector)
    try:
        server, thread = start_http_server(port, address, registry)
    except (OSError, OverflowError) as error:
        raise MetricsPortError(
            f"{settings}: expected to listen on {address}:{port}, found: {error}"
        ) from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
