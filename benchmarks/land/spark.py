"""Spark Structured Streaming: a topic to JSON in the store, once. Its own process.

Prints what the plain clients print.
"""

import json
import os
import sys
import time
from typing import Final

from infra.local import config
from ingestion.settings import KafkaSettings, LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import session

# The project's jobs of seconds switch the optimising compiler off; what is measured here may run.
_JAVA: Final = ("-XX:TieredStopAtLevel=4", "-XX:+UseParallelGC", "-XX:-UseSerialGC")


def main(topic: str) -> None:
    """Land a topic."""
    store = StoreSettings.load()
    plan = session.SessionPlan(
        ProjectSettings.load(), store, LakeSettings.load(), extra_java_options=_JAVA
    )
    target = f"s3://{store.lake_bucket}/bench-{os.getpid()}"
    with session.running(plan) as spark:
        begin = time.time()
        lines = (
            spark.readStream.format("kafka")
            .options(**_kafka(KafkaSettings.load()))
            .option("subscribe", topic)
            .option("startingOffsets", "earliest")
            .load()
            .selectExpr(
                "partition", "offset", "timestamp", "cast(key as string) key",
                "cast(value as string) value",
            )
        )  # fmt: skip
        query = (
            lines.writeStream.format("json")
            .option("path", f"{target}/data")
            .option("checkpointLocation", f"{target}/checkpoint")
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        end = time.time()
        records = sum(progress["numInputRows"] for progress in query.recentProgress)
    sys.stdout.write(json.dumps({"begin": begin, "end": end, "records": records}) + "\n")


def _kafka(settings: KafkaSettings) -> dict[str, str]:
    client = settings.client("stream")
    jaas = config.jaas(
        "scram.ScramLoginModule", username=client["sasl.username"], password=client["sasl.password"]
    )
    return {
        "kafka.bootstrap.servers": client["bootstrap.servers"],
        "kafka.security.protocol": client["security.protocol"],
        "kafka.sasl.mechanism": client["sasl.mechanism"],
        "kafka.sasl.jaas.config": jaas,
    }


if __name__ == "__main__":
    main(sys.argv[1])
