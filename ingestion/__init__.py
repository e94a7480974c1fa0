"""Everything that moves records: provider, Kafka, bronze, warehouse."""
