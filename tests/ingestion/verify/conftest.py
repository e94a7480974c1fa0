"""The emulated Snowflake of the load's tests, and what was loaded into a database of it."""

from tests.ingestion.load.conftest import account, buckets, made

__all__ = ["account", "buckets", "made"]
