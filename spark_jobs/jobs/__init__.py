"""The jobs: extract, transform, load; thin."""
