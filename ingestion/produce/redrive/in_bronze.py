"""Dead letters in bronze: also those that Kafka's retention has removed."""

from collections.abc import Iterator

from ingestion.contracts.topics import DEAD_LETTERS
from ingestion.produce.bronze import Archive, Landed, Range
from ingestion.produce.redrive.letters import Letter
from ingestion.settings import StoreSettings


def read(settings: StoreSettings) -> Iterator[Letter]:
    """Yield what was landed of the topic, of every life that it had.

    Raises:
        LoadError, SourceError: an object is not what landing writes.
        StoreError: the store refuses; StoreUnavailableError: it does not answer.
        SettingsError: the loader's keys are not set.
    """
    archive, wanted = Archive(settings), Range(DEAD_LETTERS)
    for chain, files in archive.chains(wanted).items():
        yield from map(_letter, archive.records(chain, files, wanted))


def _letter(landed: Landed) -> Letter:
    record = landed.record
    place = f"{landed.generation[:8]}/{landed.partition}/{record.offset}"
    return Letter(place, record.timestamp, record.value or b"", record.headers or ())
