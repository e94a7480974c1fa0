"""Bronze objects to columns, in Spark's Python workers: bytes to lines to Arrow's arrays.

An object comes whole, as the store has it (some megabytes, compressed), and is taken apart here:
no line of it passes through the JVM, or through a Python object of its own where it has one of the
``shapes``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

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

# Lines that are in memory at once, a few times over while they become columns.
_CHUNK_BYTES: Final = 4 * 2**20
_NEWLINE: Final = 0x0A
_PATH: Final = re.compile(r"/([^/]+)/g=([^/]+)/p=(\d+)/(\d+)[^/]*$")

Numbers = npt.NDArray[np.int64]


class Place(NamedTuple):
    """An object: the chain that it belongs to, and the first offset of its interval."""

    chain: Chain
    start: int

    @classmethod
    def of(cls, path: str) -> "Place":
        """Read it from an object's path."""
        match = _PATH.search(path)
        if match is None:
            raise ValueError(f"expected <topic>/g=<id>/p=<partition>/<object>, found {path!r}")
        return cls(Chain(match[1], match[2], int(match[3])), int(match[4]))

    def columns(self) -> dict[str, Any]:
        """Return it in the columns of ``layout``."""
        return {**self.chain._asdict(), "object_start": self.start}


# Of which objects which lines, by their numbers (from 0, ascending).
Wanted = Mapping[Place, Numbers]


class Lines(NamedTuple):
    """Some of an object's lines, with their numbers in it, as columns of ``layout``."""

    place: Place
    numbers: Numbers
    lines: Array
    columns: dict[str, Array]


@dataclass(frozen=True)
class Decoder:
    """Objects (path, content) to rows of ``layout``, one for each line.

    ``kept`` is the part of the model whose columns come out: that of the objects' topics. Where
    lines are ``wanted``, only these come out, each with its key, headers and raw line.
    """

    model: Model
    kept: Model
    wanted: Wanted | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Decode what Spark hands over."""
        expected = layout.schema(self.kept)
        for found in decoded(batches, self.model, self.wanted):
            shown = _evidence(found.lines) if self.wanted is not None else {}
            here = _repeated(found.place.columns(), len(found.numbers))
            yield layout.batch({**found.columns, **shown, **here}, expected)


def decoded(
    batches: Iterable[pa.RecordBatch], model: Model, wanted: Wanted | None = None
) -> Iterator[Lines]:
    """Yield the lines of objects (path, content), or those that are wanted of them."""
    judge = Judge(model)
    known: dict[str, list[Shape]] = {}
    for path, content in _objects(batches):
        place = Place.of(path)
        topic = place.chain.topic
        if topic not in known:
            known[topic] = shapes(model, topic)
        here = None if wanted is None else wanted[place]
        try:
            for numbers, lines in _numbered(content, here):
                for those, found, columns in _columns(lines, known[topic], judge, topic):
                    yield Lines(place, numbers[those], found, columns)
        except zstandard.ZstdError as error:
            raise ValueError(f"{path}: expected what zstd has compressed, found {error}") from error


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


def _numbered(content: bytes, wanted: Numbers | None) -> Iterator[tuple[Numbers, Array]]:
    first = 0
    for lines in chunks(content):
        numbers = np.arange(first, first + len(lines))
        if wanted is None:
            yield numbers, lines
        else:
            here = wanted[slice(*np.searchsorted(wanted, (first, first + len(lines))))]
            if len(here):
                yield here, lines.take(pa.array(here - first))
        first += len(lines)


def _columns(
    lines: Array, known: list[Shape], judge: Judge, topic: str
) -> Iterator[tuple[Numbers, Array, dict[str, Array]]]:
    """Yield lines, which ones, and their columns: of one shape at a time, then all others."""
    left = np.arange(len(lines))
    for shape in known:
        matches = shape.matches(lines)
        have_it = matches.to_numpy(zero_copy_only=False)
        if have_it.all():
            yield left, lines, shape.columns(lines)
            return
        if have_it.any():
            found = lines.filter(matches)
            yield left[have_it], found, shape.columns(found)
            lines, left = lines.filter(pc.invert(matches)), left[~have_it]
    yield left, lines, judge.columns(lines, topic)


def _repeated(values: Mapping[str, Any], count: int) -> dict[str, Array]:
    scalars: dict[str, Any] = {n: pa.scalar(v, layout.HEAD[n]) for n, v in values.items()}
    return {name: pa.repeat(scalar, count) for name, scalar in scalars.items()}


def _evidence(lines: Array) -> dict[str, Array]:
    rows = [decode.evidence(line.removesuffix(b"\n")) for line in lines.to_pylist()]
    return {
        name: pa.array([row[name] for row in rows], layout.TEXT)
        for name in ("key", "headers", "raw")
    }
