"""Spark's jobs killed at each step, in each other's way and under upkeep; the lake is compared."""
