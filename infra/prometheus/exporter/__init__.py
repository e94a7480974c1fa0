"""Reads each stage's own storage at every scrape, in a bounded time."""
