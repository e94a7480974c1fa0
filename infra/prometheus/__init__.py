"""Metrics of what has no endpoint of its own, alert rules, and the dashboard made of both."""
