"""The verdict as text for people and as a file for machines."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from audit import files
from audit.model import Check, Row, Verdict

_NOTES = ("bronze.gaps", "ledger.acked", "ledger.once", "ledger.unknown")
_COLUMNS = [field.name for field in fields(Row)][3:]


def write(document: dict[str, Any], path: Path) -> None:
    """Write a verdict as JSON."""
    files.write(json.dumps(document, indent=1) + "\n", path)


def violations(path: Path) -> list[dict[str, Any]]:
    """Return the violated checks in the verdict of a file; none without a verdict."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return []
    checks = found.get("checks", []) if isinstance(found, dict) else []
    return [check for check in checks if check["status"] == "violated"]


def render(verdict: Verdict) -> str:
    """Return the reconciliation table, what is wrong or unread, and the closing line."""
    parts = [*_table(verdict.table), *_findings(verdict.checks), closing(verdict)]
    return "\n".join(parts)


def closing(verdict: Verdict) -> str:
    """Return the verdict in one line."""
    counts = Counter(check.status for check in verdict.checks)
    facts = ", ".join(f"{counts[status]} {status}" for status in sorted(counts))
    return f"audit: {verdict.verdict.upper()} ({facts}; {verdict.seconds:.1f} s)"


def _findings(checks: Iterable[Check]) -> list[str]:
    return [
        f"{'note' if check.status == 'ok' else check.status:<8}  {check.name}: {check.detail}"
        for check in checks
        if check.status != "ok" or (check.name in _NOTES and check.detail)
    ]


def _table(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    cells = [["topic/partition", *_COLUMNS]]
    cells += [
        [_label(row, rows), *(_cell(getattr(row, name)) for name in _COLUMNS)] for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return [_line(line, widths) for line in cells]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *numbers = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in numbers)])


def _label(row: Row, rows: Sequence[Row]) -> str:
    """Return topic and partition; a re-created topic's rows also show their generation."""
    generations = {other.generation for other in rows if other.topic == row.topic}
    mark = f" g={row.generation[:8]}" if len(generations) > 1 else ""
    return f"{row.topic}/{row.partition}{mark}"


def _cell(value: int | None) -> str:
    return "-" if value is None else str(value)
