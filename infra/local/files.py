"""Write and read the small files of a stack."""

import os
import string
from pathlib import Path
from typing import Any

import yaml

from infra.local.layout import DECLARATIONS, Layout
from ingestion.errors import StackError


def write_private(path: Path, text: str) -> bool:
    """Write a file that only its owner may read, in one step; return whether it changed."""
    if path.is_file() and path.read_text() == text:
        return False
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
    return True


def declared(name: str, layout: Layout) -> Any:  # noqa: ANN401 - whatever the YAML or JSON file holds
    """Read a declaration below ``infra/`` with the names that settings may change filled in.

    Raises:
        StackError: the file is not valid or uses a name that no setting gives.
    """
    names = {
        "landers_group": layout.kafka.landers_group,
        "bronze_bucket": layout.store.bronze_bucket,
        "lake_bucket": layout.store.lake_bucket,
        "doctor_bucket": layout.store.doctor_bucket,
    }
    path = DECLARATIONS / name
    try:
        return yaml.safe_load(string.Template(path.read_text()).substitute(names))
    except (yaml.YAMLError, KeyError, ValueError) as error:
        raise StackError(f"{path}: {error}") from error


def last_lines(path: Path, count: int = 8) -> str:
    """Return the end of a log, or a remark that there is none."""
    if not path.is_file():
        return "(no log was written)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-count:])
