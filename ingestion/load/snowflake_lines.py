"""Bronze lines into the temporary tables, as documents of type VARIANT."""

from collections.abc import Iterable

import pyarrow as pa

from ingestion.load import snowflake_sql as sql
from ingestion.load.lines import Refused, prepare
from ingestion.load.model import Described, LineFile, Listed, Loaded
from ingestion.load.snowflake_session import Session
from ingestion.load.snowflake_stage import Incoming, Source, Staged, compare, refuse_differing

_ACCEPTED, _REFUSED = "lines.parquet", "refused.parquet"


class Lines:
    """The quotes' lane."""

    def __init__(self, session: Session, source: Source, incoming: Incoming) -> None:
        self._session = session
        self._source = source
        self._incoming = incoming

    def stage(self, batch: sql.Batch, listed: list[Listed]) -> Staged:
        """Bring objects' lines into the temporary tables.

        Raises:
            LoadError: an object's lines differ from its count, or from rows that are there.
        """
        if self._source.stage == "external":
            objects, refused = self._have_read(batch.target, listed)
        else:
            objects, refused = self._send(batch.target, listed)
        expected = {found.listed.file: found.records for found in objects}
        found = {file: rows for file, rows, _ in self._session.execute(sql.count_lines())}
        for line in refused:
            found[line.file] = found.get(line.file, 0) + 1
        compare(expected, found)
        refuse_differing(self._session.execute(sql.differing_lines(batch)))
        if refused:
            self._stage_refused(batch.target, refused)

        def writes(batch: sql.Batch) -> list[str]:
            rejects = [sql.insert_rejects(batch)] if refused else []
            return [sql.insert_lines(batch), *rejects]

        rows = sum(expected.values()) - len(refused)
        return Staged(batch, expected, writes, Loaded(len(listed), rows, len(refused)))

    def _have_read(
        self, target: str, listed: list[Listed]
    ) -> tuple[list[Described], list[Refused]]:
        """Have Snowflake read the objects; what does not come out whole is sent line by line."""
        objects = self._source.describe(listed)
        self._session.execute_all(sql.stage_files(_rows(objects)))
        self._session.execute_all(sql.stage_objects(found.file for found in listed))
        counts = {
            file: (rows, documents)
            for file, rows, documents in self._session.execute(sql.count_lines())
        }
        odd = [
            found.listed
            for found in objects
            if counts.get(found.listed.file, (0, 0)) != (found.records, found.records)
        ]
        if not odd:
            return objects, []
        self._session.execute(sql.forget_lines(found.file for found in odd))
        return objects, self._send_lines(target, self._source.read_lines(odd))

    def _send(self, target: str, listed: list[Listed]) -> tuple[list[Described], list[Refused]]:
        files = self._source.read_lines(listed)
        objects = [
            Described(f.listed, f.topic, f.generation, f.partition, len(f.lines)) for f in files
        ]
        self._session.execute_all(sql.stage_files(_rows(objects)))
        self._session.execute(sql.stage_no_lines())
        return objects, self._send_lines(target, files)

    def _send_lines(self, target: str, files: list[LineFile]) -> list[Refused]:
        """Send lines as texts, parse them there, and return those that are refused here or there.

        The lines of a list are one file: PUT and COPY cost by the file.
        """
        accepted, refused = prepare(files)
        self._incoming.send_table(target, _ACCEPTED, accepted)
        self._session.execute_all(sql.stage_texts(self._incoming.folder(target), _ACCEPTED))
        by_name = {file.listed.file: file for file in files}
        for name, number, reason in self._session.execute(sql.refused_texts()):
            refused.append(_refused(by_name[name], number, reason))
        self._session.execute(sql.parse_texts())
        return refused

    def _stage_refused(self, target: str, refused: list[Refused]) -> None:
        rows = [line.row() for line in refused]
        table = pa.Table.from_pylist(rows, schema=pa.schema(Refused.TYPES))
        self._incoming.send_table(target, _REFUSED, table)
        self._session.execute_all(sql.stage_rejects(self._incoming.folder(target), _REFUSED))


def _refused(file: LineFile, number: int, reason: str | None) -> Refused:
    told = f"snowflake: {reason}"[:500] if reason else "expected an object, found null"
    line = file.lines[number - 1]
    return Refused(
        file.topic, file.generation, file.partition, file.listed.file, number, line, told
    )


def _rows(objects: Iterable[Described]) -> list[sql.FileRow]:
    return [
        sql.FileRow(
            found.listed.file,
            found.listed.file,
            found.records,
            found.listed.size,
            topic=found.topic,
            generation=found.generation,
            partition=found.partition,
        )
        for found in objects
    ]
