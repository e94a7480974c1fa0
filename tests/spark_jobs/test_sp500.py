"""A sample of the real daily bars, where they are, through the jobs: every value is the file's."""

import pytest

from benchmarks.spark import sp500
from ingestion.contracts import envelope
from spark_jobs.schemas import BARS, DAILY_METRICS
from tests.spark_jobs.conftest import Lake

pytestmark = pytest.mark.skipif(
    not sp500.DATA.is_file(), reason=f"the real daily bars are not at {sp500.DATA}"
)


def test_every_value_of_real_bars_comes_out_as_it_went_in(lake: Lake) -> None:
    source = sp500.read(sp500.DATA, symbols=2)
    lake.send_batch([envelope.encode(message) for message in sp500.messages(source)])
    lake.compact()
    lake.daily()
    bars, metrics = (lake.rows(table).toArrow() for table in (BARS, DAILY_METRICS))

    assert sp500.differences(source, bars, metrics) == []

    # The comparison sees a single value that is another one.
    other = bars.set_column(
        bars.column_names.index("volume"), "volume", [[*bars["volume"].to_pylist()[:-1], 1]]
    )
    assert sp500.differences(source, other, metrics) == ["bars.volume"]
    assert len(sp500.differences(source.slice(1), bars, metrics)) == 2
