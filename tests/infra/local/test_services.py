"""What each service's health check takes for healthy."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from infra.local.layout import Layout
from infra.local.services import health, service
from ingestion.settings import KafkaSettings, LakeSettings, ProjectSettings, StoreSettings


class StartingMinio(BaseHTTPRequestHandler):
    """Answers as MinIO does while its object layer is not there yet: alive, "ready", no more."""

    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/minio/health/cluster" else 200)
        self.send_header("X-Minio-Server-Status", "offline")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), StartingMinio) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_minio_that_serves_no_request_yet_is_not_healthy(port: int, tmp_path: Path) -> None:
    (tmp_path / "minio").touch()
    keys = {"root_access_key": "root", "root_secret_key": "x" * 20}
    store = StoreSettings(kind="minio", port=port, **keys)
    project = ProjectSettings(state_dir=tmp_path)
    layout = Layout(
        project, KafkaSettings(), store, LakeSettings(), tmp_path / "env", tools=tmp_path
    )
    assert health(service("store", layout)) == "answers with status 503"
