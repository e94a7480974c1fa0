"""Stand-in for dbt's cross-database macros when sqlfluff renders a model without dbt."""


def dateadd(part: str, interval: object, moment: str) -> str:
    """Return a call that reads like the rendered one."""
    return f"date_add({moment}, interval '{interval} {part}')"


def datediff(start: str, end: str, part: str) -> str:
    """Return a call that reads like the rendered one."""
    return f"date_diff('{part}', {start}, {end})"


def date_trunc(part: str, moment: str) -> str:
    """Return a call that reads like the rendered one."""
    return f"date_trunc('{part}', {moment})"
