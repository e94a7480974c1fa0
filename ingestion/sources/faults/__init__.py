"""Faults on purpose: what goes wrong with market data, seeded, with a record of each."""
