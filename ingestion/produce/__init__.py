"""Messages to Kafka, and what is refused to the dead letters."""
