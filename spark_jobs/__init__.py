"""Spark jobs over the lake: compaction of bronze, daily metrics, trailing windows."""
