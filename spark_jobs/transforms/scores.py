"""How far a value is from those before it. Imports no Spark: workers run it.

The robust z-score is (x - median) / (1.4826 · MAD), MAD the median distance from the median
(Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993). 1.4826 makes it a standard
deviation where values are normal; median and MAD are what half of the values may lie about.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]

SCORE: Final = "score"
MEDIAN: Final = "median"
_NORMAL: Final = 1.4826
# Rows whose windows are held at once: 50 values of 8 bytes each, some 13 MB.
_CHUNK: Final = 32_768


@dataclass(frozen=True)
class Trailing:
    """What a value is compared with: the last ones before it, at least ``fewest`` of them.

    ``floor`` is the least spread, added to ``relative_floor`` times the median: in a market that
    stands still every cent would be an outlier.
    """

    last: int
    fewest: int
    floor: float = 0.0
    relative_floor: float = 0.0

    def scored(self, table: pa.Table, value: str) -> pa.Table:
        """Add ``score`` and ``median`` to rows of one group, which ``nth`` numbers from 1."""
        order = np.argsort(table["nth"].to_numpy())
        values = table[value].to_numpy()[order].astype(np.float64)
        medians, scores = np.empty_like(values), np.empty_like(values)
        medians[order], scores[order] = self.of(values)
        for name, found in ((SCORE, scores), (MEDIAN, medians)):
            column = pa.array(found, pa.float64(), mask=np.isnan(found))
            table = table.append_column(name, column)
        return table

    def of(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the median before each value and its score; NaN where too few are before it."""
        # NaN is no value: the first ones have fewer before them.
        padded = np.concatenate([np.full(self.last, np.nan), values])
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.last)[: len(values)]
        medians, spreads = np.full_like(values, np.nan), np.full_like(values, np.nan)
        for start in range(self.fewest, len(values), _CHUNK):
            part = slice(start, start + _CHUNK)
            medians[part] = np.nanmedian(windows[part], axis=1)
            distances = np.abs(windows[part] - medians[part, np.newaxis])
            spreads[part] = _NORMAL * np.nanmedian(distances, axis=1)
        least = self.floor + self.relative_floor * np.abs(medians)
        return medians, (values - medians) / np.maximum(spreads, least)
