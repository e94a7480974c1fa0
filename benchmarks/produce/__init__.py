"""Producing: how much of what the Kafka client can do is left when the simulator feeds it."""
