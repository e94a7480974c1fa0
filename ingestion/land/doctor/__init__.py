"""The store doctor: whether a store keeps the promises that exactly-once landing is built on."""
