"""What an audit keeps: whole files, also where two audits write the same one at once."""

import os
from pathlib import Path
from uuid import uuid4


def write(text: str, path: Path) -> None:
    """Put a text in a file's place; a reader sees the old file or the new one, never half of it.

    Raises:
        OSError: the folder cannot be made, or takes no file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{uuid4().hex}.new")  # of this writer alone
    try:
        draft.write_text(text)
        os.replace(draft, path)  # noqa: PTH105 - Path.replace says the same
    finally:
        draft.unlink(missing_ok=True)
