"""Trades from Kafka to the windows and minute bars that form now, before the batch has them."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.streaming.query import StreamingQuery

from ingestion.errors import TapehouseError
from spark_jobs import tables
from spark_jobs.context import JobContext
from spark_jobs.epochs import commit_once
from spark_jobs.report import JobSummary
from spark_jobs.schemas import STREAM_BARS, STREAM_WINDOWS, STREAMED, Table
from spark_jobs.stateful import PROVIDER, FormingMinutes
from spark_jobs.stream_metrics import Followed
from spark_jobs.transforms import arrivals, state_rows
from spark_jobs.transforms.bars import trade_bars
from spark_jobs.transforms.windows import window_metrics

_POLL_S: Final = 1
# A batch that takes longer than this is left to the restart, which repeats it.
_GRACE_S: Final = 60.0
_START_S: Final = 60.0

_log = structlog.get_logger(component="stream")


@dataclass(frozen=True)
class StreamPlan:
    """How the stream runs: ``trigger_s`` is the time between batches, None for one run to the end.

    ``partitions`` is that of the state; a checkpoint keeps the number that it began with.
    ``headless`` are Kafka's partitions that the checkpoint did not begin to read at their
    beginning, because Kafka did not have it any more.
    """

    checkpoint: str
    trigger_s: float | None
    partitions: int
    headless: frozenset[int] = frozenset()


def run(
    context: JobContext,
    records: DataFrame,
    plan: StreamPlan,
    stopped: Callable[[], bool],
    followed: Followed | None = None,
) -> JobSummary:
    """Stream records to the tables until ``stopped`` says so, or all that is there has been read.

    Args:
        context: the session and the calendar.
        records: a stream with the columns of Kafka's source.
        plan: how it runs.
        stopped: asked every second; the batch that runs then is finished.
        followed: told the progress of the query every second.

    Raises:
        LakeError: a batch failed; what was committed before stays, a restart goes on from there.
    """
    summary = JobSummary("stream")
    began = context.clock.monotonic()
    tables.ensure(context.spark, STREAMED)
    sink = _Sink(context, summary)
    query = _start(context, records, plan, sink)
    try:
        _watch(context, query, stopped, followed or Followed())
    except StreamingQueryException:
        if sink.failure is not None:
            raise sink.failure from None
        raise
    finally:
        query.stop()
        summary.seconds = context.clock.monotonic() - began
    return summary


def _start(
    context: JobContext, records: DataFrame, plan: StreamPlan, sink: "_Sink"
) -> StreamingQuery:
    conf = context.spark.conf
    conf.set("spark.sql.streaming.stateStore.providerClass", PROVIDER)
    # Only what a batch changed is uploaded with it, not the whole state.
    conf.set("spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled", "true")
    conf.set("spark.sql.shuffle.partitions", str(plan.partitions))
    zone = str(context.calendar.zone)
    packets = arrivals.packets(records, context.sessions(), zone, context.model)
    told = packets.groupBy("source", "share").transformWithStateInPandas(
        FormingMinutes(context.lateness, plan.headless), state_rows.SCHEMA, "Update", "None"
    )
    writer = told.writeStream.queryName("stream").outputMode("update").foreachBatch(sink)
    writer = writer.option("checkpointLocation", plan.checkpoint)
    if plan.trigger_s is None:
        query = writer.trigger(availableNow=True).start()
    else:
        query = writer.trigger(processingTime=f"{plan.trigger_s} seconds").start()
    sink.query.set_result(str(query.id))
    return query


def _watch(
    context: JobContext, query: StreamingQuery, stopped: Callable[[], bool], followed: Followed
) -> None:
    last = None
    while not query.awaitTermination(_POLL_S):
        followed.take(query.lastProgress)
        last = _tell(query, last)
        if stopped():
            _log.info("stopping")
            return _finish_batch(context, query)


def _tell(query: StreamingQuery, last: str | None) -> str | None:
    """Log how far the stream is, once a batch; return the name of the newest progress."""
    progress, newest = query.lastProgress, _newest(query)
    if progress is not None and newest != last and progress["numInputRows"]:
        metrics = progress["sources"][0]["metrics"]
        _log.info(
            "progress",
            batch=progress["batchId"],
            records=progress["numInputRows"],
            behind=metrics.get("maxOffsetsBehindLatest"),
            seconds=progress["durationMs"]["triggerExecution"] / 1000,
        )
    return newest


def _finish_batch(context: JobContext, query: StreamingQuery) -> None:
    running, deadline = _newest(query), context.clock.monotonic() + _GRACE_S
    while query.status["isTriggerActive"] and _newest(query) == running:
        if context.clock.monotonic() > deadline:
            _log.warning("batch_abandoned", detail="the next start repeats it")
            return
        context.clock.sleep(_POLL_S)


def _newest(query: StreamingQuery) -> str | None:
    # Not by batch: an idle stream reports with the number of the batch to come.
    progress = query.lastProgress
    return None if progress is None else str(progress["timestamp"])


class _Sink:
    """What each batch is given to; ``failure`` is ours where it failed for a reason of ours."""

    def __init__(self, context: JobContext, summary: JobSummary) -> None:
        self._context = context
        self._summary = summary
        self.query: Future[str] = Future()
        self.failure: TapehouseError | None = None

    def __call__(self, told: DataFrame, batch: int) -> None:
        try:
            self._take(told, batch)
        except TapehouseError as error:
            self.failure = error
            raise

    def _take(self, told: DataFrame, batch: int) -> None:
        began = self._context.clock.monotonic()
        # Every read of it would run the stateful operator again.
        told.persist()
        try:
            counts = self._count(told)
            written = self._write(told, batch) if counts.pop("sessions", 0) else {}
        finally:
            told.unpersist()
        seconds = round(self._context.clock.monotonic() - began, 3)
        _log.info("batch", batch=batch, **counts, **written, seconds=seconds)

    def _count(self, told: DataFrame) -> Counter[str]:
        counts = Counter[str]()
        for row in state_rows.summaries(told).collect():
            counts.update(msgspec.json.decode(row["counts"]))
        found = {name: rows for name, rows in counts.items() if name not in ("events", "sessions")}
        rejects = sum(rows for name, rows in found.items() if name not in state_rows.LEFT_OUT)
        self._summary.read += counts["events"] + rejects
        self._summary.rejected.update(found)
        return counts

    def _write(self, told: DataFrame, batch: int) -> dict[str, Any]:
        minutes = state_rows.minutes_of(told)
        windows = window_metrics(minutes.where("in_windows"))
        bars = trade_bars(minutes.where("in_bars")).where("interval = '1m'")
        written = {}
        for spec, computed, end in (
            (STREAM_WINDOWS, state_rows.observed(windows), "window_end_at"),
            (STREAM_BARS, bars, "end_at"),
        ):
            rows = state_rows.wanted(computed, told, end)
            written[spec.name] = self._commit(spec, rows, batch)
        return written

    def _commit(self, spec: Table, rows: DataFrame, batch: int) -> int:
        computed = rows.withColumn("computed_at", F.lit(self._context.clock.now()))
        query = self.query.result(_START_S)
        staged = commit_once(rows.sparkSession, spec, computed, query, batch)
        if staged is None:
            _log.info("already_there", table=spec.identifier, batch=batch)
            return 0
        self._summary.add(staged)
        return staged.rows
