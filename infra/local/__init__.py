"""The local stack: Kafka, the object store and the lander as supervised processes."""
