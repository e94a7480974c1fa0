"""Landing: Kafka to bronze, every record exactly once."""
