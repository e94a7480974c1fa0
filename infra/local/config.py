"""Render the services' configuration files; secrets go there (0600), never onto a command line."""

from pathlib import Path

from infra.local.layout import DECLARATIONS, Layout
from infra.local.ports import HOST
from ingestion.settings import StoreRole

# Those that only read must not be able to do more where the store itself has no policies.
S3PROXY_READ_ONLY: dict[StoreRole, bool] = {
    "root": False,
    "lander": False,
    "lake": False,
    "loader": True,
    "auditor": True,
}


def kafka_properties(layout: Layout, data: Path) -> str:
    """Return the broker's configuration with its log folder at ``data``."""
    kafka = layout.kafka
    user, password = kafka.admin_username, kafka.client("admin")["sasl.password"]
    listeners = f"CLIENT://{HOST}:{kafka.port},CONTROLLER://{HOST}:{kafka.controller_port}"
    scram = jaas("scram.ScramLoginModule", username=user, password=password)
    plain = jaas(
        "plain.PlainLoginModule", username=user, password=password, **{f"user_{user}": password}
    )
    own = {
        "log.dirs": str(data),
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "controller.quorum.bootstrap.servers": f"{HOST}:{kafka.controller_port}",
        "super.users": f"User:{user}",
        "listener.name.client.scram-sha-512.sasl.jaas.config": scram,
        "listener.name.controller.plain.sasl.jaas.config": plain,
    }
    common = (DECLARATIONS / "kafka" / "broker.properties").read_text()
    return common + properties(own)


def jaas(module: str, **options: str) -> str:
    """Return a JAAS configuration line for one of Kafka's login modules."""
    quoted = (f'{name}="{_escaped(value)}"' for name, value in options.items())
    return f"{' '.join([f'org.apache.kafka.common.security.{module}', 'required', *quoted])};"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def properties(values: dict[str, str]) -> str:
    """Return a Java properties file."""
    return "".join(
        f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in values.items()
    )


def minio_environment(layout: Layout) -> str:
    """Return the file that MinIO reads its own environment from."""
    access, secret = layout.store.keys("root")
    values = {
        "MINIO_ROOT_USER": access,
        "MINIO_ROOT_PASSWORD": secret,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "MINIO_REGION": layout.store.region,
        "MINIO_CALLHOME_ENABLE": "off",
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def s3proxy_properties(layout: Layout, role: StoreRole) -> str:
    """Return S3Proxy's configuration for one identity; all identities share one folder."""
    access, secret = layout.store.keys(role)
    return properties(
        {
            "s3proxy.endpoint": f"http://{HOST}:{layout.store.port}",
            "s3proxy.authorization": "aws-v4",
            "s3proxy.identity": access,
            "s3proxy.credential": secret,
            "s3proxy.read-only-blobstore": str(S3PROXY_READ_ONLY[role]).lower(),
            "jclouds.provider": "filesystem-nio2",
            "jclouds.identity": "unused",
            "jclouds.credential": "unused",
            "jclouds.filesystem.basedir": str(layout.state / "store" / "s3proxy"),
        }
    )
