"""Where dead letters lie: Kafka, or bronze for those that Kafka has forgotten."""

from collections.abc import Callable, Iterator

from ingestion.produce.redrive.letters import Letter, State

# Reads all records of the dead letters, in order, notes among them; each call begins anew.
Read = Callable[[], Iterator[Letter]]


class Shelf:
    """The letters of one place, with what was noted of them there and elsewhere.

    The notes are read first: a letter's own lies behind it, and there is no telling how far. Only
    they are held in memory, 64 characters a letter.
    """

    def __init__(self, letters: Read, notes: tuple[Read, ...]) -> None:
        self._letters = letters
        self._notes = notes

    def __iter__(self) -> Iterator[tuple[Letter, State]]:
        """Yield each letter with its state at the start of the iteration."""
        redriven = {letter.noted for read in self._notes for letter in read()}
        for letter in self._letters():
            if letter.noted is None:
                yield letter, _state(letter, letter.id in redriven)


def _state(letter: Letter, is_redriven: bool) -> State:
    if is_redriven:
        return State.REDRIVEN
    return State.CUT if letter.is_cut else State.WAITING
