"""The producers' write-ahead ledgers, read while they grow."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from audit.book import Book, identity
from audit.entries import DECODER, Open, decode
from audit.errors import UnreadableError
from audit.model import EXAMPLES, Check, Hashes, Status, bad

_BLOCK = 4 << 20  # some 25,000 lines decoded at once


class Stream(Protocol):
    """What a ledger file is read from."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, /) -> int: ...


Opened = Callable[[Path], AbstractContextManager[Stream]]


def _plain(path: Path) -> AbstractContextManager[Stream]:
    return path.open("rb")


class Ledger:
    """A folder of ledger files, one a run, which may still be growing."""

    def __init__(self, folder: Path, opened: Opened = _plain) -> None:
        self.folder = folder
        self._opened = opened
        self._seen: dict[Path, tuple[int, int]] = {}  # bytes and lines taken in
        self.book = Book()

    def files(self) -> list[Path]:
        """Return the runs' files, by name."""
        return sorted(self.folder.glob("*.jsonl"))

    def read(self) -> Book:
        """Take in what has been written since the last time, and return everything.

        A last line without its end is left for the next time: a process was killed, or writes.

        Raises:
            UnreadableError: the folder is not there, or a line is none of a ledger's.
        """
        if not self.folder.is_dir():
            raise UnreadableError(f"the ledger {self.folder} cannot be read: no such folder")
        for path in self.files():
            self._take(path)
        return self.book

    def find(self, wanted: Iterable[int]) -> dict[int, str]:
        """Return the ids that 64 bits stand for; the files are read once more for it."""
        missing = set(wanted)
        found: dict[int, str] = {}
        blocks = (block for path in self.files() for _, block in self._blocks(path, 0))
        while len(found) < len(missing) and (block := next(blocks, b"")):
            lines = DECODER.decode_lines(block)
            texts = {line.id for line in lines if not isinstance(line, Open)}
            known = ((identity(text), text) for text in texts)
            found |= {number: text for number, text in known if number in missing}
        return found

    def _take(self, path: Path) -> None:
        for at, block in self._blocks(path, self._seen.get(path, (0, 0))[0]):
            first = self._seen.get(path, (0, 0))[1]
            lines = decode(path, first, block)
            self.book.add(lines)
            self._seen[path] = (at, first + len(lines))

    def _blocks(self, path: Path, start: int) -> Iterator[tuple[int, bytes]]:
        """Yield whole lines in pieces, with where each piece ends."""
        try:
            with self._opened(path) as file:
                file.seek(start)
                rest = b""
                while block := file.read(_BLOCK):
                    whole, end, rest = (rest + block).rpartition(b"\n")
                    start += len(whole) + len(end)
                    if end:
                        yield start, whole + end
        except OSError as error:
            raise UnreadableError(f"the ledger {path} cannot be read: {error}") from error


class Names:
    """The ids behind their hashes, for the few that are shown."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def of(self, ids: Hashes) -> list[str]:
        """Return the ids as their producers wrote them."""
        found = self._ledger.find(ids.tolist())
        return [found.get(number, f"{number:016x}") for number in ids.tolist()]

    def wrong(
        self, name: str, invariant: str, ids: Hashes, text: str, status: Status = "violated"
    ) -> Check:
        """Return a check that does not hold; ``text`` takes the first id."""
        shown = self.of(ids[:EXAMPLES])
        sentence = text.format(shown[0])
        return bad(name, invariant, sentence, shown, status=status, differences=len(ids))
