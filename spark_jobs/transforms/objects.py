"""Bronze objects to rows, in Spark's Python workers: bytes to lines to Arrow batches.

An object comes whole, as the store has it (some megabytes, compressed), and is taken apart here:
no line of it passes through the JVM, or through a Python object of its own where it has one of the
``shapes``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from spark_jobs.model import Model
from spark_jobs.positions import Chain
from spark_jobs.transforms import decode, layout
from spark_jobs.transforms.decode import Judge
from spark_jobs.transforms.layout import Array
from spark_jobs.transforms.shapes import Shape, shapes

EVIDENCE: Final = pa.schema(
    [
        *((name, layout.HEAD[name]) for name in ("topic", "generation", "partition", "offset")),
        *((name, layout.HEAD[name]) for name in ("key", "headers", "raw")),
    ]
)
# Lines that are in memory at once, a few times over while they become columns.
_CHUNK_BYTES: Final = 4 * 2**20
_NEWLINE: Final = 0x0A
_PATH: Final = re.compile(r"/([^/]+)/g=([^/]+)/p=(\d+)/(\d+)[^/]*$")
_OFFSET: Final = r'^\{"offset":(?P<offset>[0-9]{1,18}),'

Offsets = npt.NDArray[np.int64]
NO_OFFSETS: Final[Offsets] = np.empty(0, np.int64)


class Place(NamedTuple):
    """The chain that an object belongs to, and the first offset of its interval."""

    chain: Chain
    start: int

    @classmethod
    def of(cls, path: str) -> "Place":
        """Read it from an object's path."""
        match = _PATH.search(path)
        if match is None:
            raise ValueError(f"expected <topic>/g=<id>/p=<partition>/<object>, found {path!r}")
        return cls(Chain(match[1], match[2], int(match[3])), int(match[4]))


@dataclass(frozen=True)
class Decoder:
    """Objects (path, content) to rows of ``layout``, one for each line.

    ``kept`` is the part of the model whose columns come out: that of the objects' topics.
    """

    model: Model
    kept: Model

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Decode what Spark hands over."""
        judge, expected = Judge(self.model), layout.schema(self.kept)
        known: dict[str, list[Shape]] = {}
        for path, content in _objects(batches):
            place = Place.of(path)
            topic = place.chain.topic
            if topic not in known:
                known[topic] = shapes(self.model, topic)
            seen = _Seen()
            for lines in chunks(content):
                for columns in _columns(lines, known[topic], judge, topic):
                    offsets = columns["offset"]
                    columns |= {"is_repeated": seen.again(offsets), **_here(place, len(offsets))}
                    yield layout.batch(columns, expected)


@dataclass(frozen=True)
class Evidence:
    """Objects (path, content) to key, headers and raw line of the offsets that are wanted."""

    wanted: Mapping[Chain, Offsets]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Look the lines up in what Spark hands over."""
        for path, content in _objects(batches):
            chain = Place.of(path).chain
            offsets = self.wanted.get(chain, NO_OFFSETS)
            for lines in chunks(content):
                rows = [_evidence(record, raw, chain) for record, raw in _lines_at(lines, offsets)]
                yield pa.RecordBatch.from_pylist(rows, EVIDENCE)


def offsets(values: Iterable[int]) -> Offsets:
    """Return offsets as they are compared: in order."""
    return np.sort(np.fromiter(values, np.int64))


def chunks(content: bytes) -> Iterator[Array]:
    r"""Yield a compressed object's lines some megabytes at a time, each with its newline.

    They end at ``\n`` only: a carriage return is data. The last one may lack its newline.
    """
    rest = b""
    with zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True) as source:
        while block := source.read(_CHUNK_BYTES):
            whole, newline, tail = (rest + block).rpartition(b"\n")
            rest = tail
            if newline:
                yield _split(whole + newline)
    if rest:
        yield pa.array([rest], pa.binary())


def _split(block: bytes) -> Array:
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == _NEWLINE) + 1
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(block)]
    return pa.Array.from_buffers(pa.binary(), len(ends), buffers)


def _objects(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, bytes]]:
    for batch in batches:
        for path, content in zip(batch.column("path"), batch.column("content"), strict=True):
            yield path.as_py(), content.as_py()


def _columns(
    lines: Array, known: list[Shape], judge: Judge, topic: str
) -> Iterator[dict[str, Array]]:
    """Yield the lines' columns, those of one shape at a time, then those of all other lines."""
    for shape in known:
        matches = shape.matches(lines)
        found = lines.filter(matches)
        if len(found):
            lines = lines.filter(pc.invert(matches))
            yield shape.columns(found)
    if len(lines):
        yield judge.columns(lines, topic)


def _here(place: Place, count: int) -> dict[str, Array]:
    here = {**place.chain._asdict(), "object_start": place.start}
    scalars: dict[str, Any] = {n: pa.scalar(here[n], layout.HEAD[n]) for n in here}
    return {name: pa.repeat(scalar, count) for name, scalar in scalars.items()}


class _Seen:
    """The offsets of one object's lines so far."""

    def __init__(self) -> None:
        self._offsets = NO_OFFSETS

    def again(self, values: Array) -> Array:
        """Tell which of the next lines repeat an offset; one without offset does not."""
        is_there = values.is_valid().to_numpy(zero_copy_only=False)
        found = np.zeros(len(values), np.bool_)
        found[is_there] = self._again(values.drop_null().to_numpy())
        return pa.array(found)

    def _again(self, offsets: Offsets) -> npt.NDArray[np.bool_]:
        repeated = np.ones(len(offsets), np.bool_)
        repeated[np.unique(offsets, return_index=True)[1]] = False
        known, self._offsets = self._offsets, np.concatenate([self._offsets, offsets])
        # Offsets ascend in what the lander writes: then there is nothing to compare.
        if len(known) and len(offsets) and offsets.min() <= known.max():
            repeated |= np.isin(offsets, known)
        return repeated


def _lines_at(lines: Array, offsets: Offsets) -> Iterator[tuple[decode.Line, str]]:
    """Yield the lines with these offsets, which ascend."""
    found = pc.struct_field(pc.extract_regex(lines, pattern=_OFFSET), "offset")
    numbers = found.cast(layout.TEXT).cast(pa.int64())
    near = offsets[slice(*np.searchsorted(offsets, _span(numbers)))]
    # What begins otherwise is looked at one by one.
    chosen = pc.or_(pc.is_in(numbers, value_set=pa.array(near)), pc.is_null(numbers))
    for line in lines.filter(chosen).to_pylist():
        body = line.removesuffix(b"\n")
        try:
            record = decode.lines.decode(body)
        except msgspec.MsgspecError:  # no bronze line: it has no offset to be wanted by
            continue
        if record.offset in offsets:
            yield record, decode.text(body)


def _span(numbers: Array) -> tuple[int, int]:
    known = numbers.drop_null().to_numpy()
    return (known.min(), known.max() + 1) if len(known) else (0, 0)


def _evidence(record: decode.Line, raw: str, chain: Chain) -> dict[str, Any]:
    return {
        **chain._asdict(),
        "offset": record.offset,
        "key": record.shown_key(),
        "headers": bytes(record.headers).decode(),
        "raw": raw,
    }
