"""Stand-in for dbt's ``adapter`` when sqlfluff renders a model without dbt."""

from collections.abc import Callable


def dispatch(name: str) -> Callable[..., str]:
    """Return what stands for an engine's macro: a column, or a call of the macro's name."""
    if name == "offset_column":
        return lambda prefix="": f"{prefix}.kafka_offset" if prefix else "kafka_offset"
    return lambda *arguments: f"{name}({', '.join(str(argument) for argument in arguments)})"
