"""What a check says: one line that names the file and the object."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is wrong with a project."""

    file: str
    object: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.object}: {self.message}"
