"""The account that checks keys and answers, of the tests of its commands."""

from tests.ingestion.snowflake.conftest import account, env, key_pairs, shell

__all__ = ["account", "env", "key_pairs", "shell"]
