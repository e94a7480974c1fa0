"""What the dashboard shows, row by row: titles, queries, units. Widths of a line add up to 24."""

from dataclasses import dataclass
from typing import Final, Literal

WIDTH: Final = 24

Kind = Literal["state", "number", "lines"]
Query = tuple[str, str]
"""An expression and its legend."""


@dataclass(frozen=True)
class Panel:
    """``state`` and ``number`` show the newest value; a ``state`` is red from ``red`` on."""

    title: str
    kind: Kind
    width: int
    queries: tuple[Query, ...]
    unit: str
    text: str
    red: float | None = None


def _state(title: str, width: int, expr: str, red: float, text: str, unit: str = "short") -> Panel:
    return Panel(title, "state", width, ((expr, title),), unit, text, red)


def _number(title: str, width: int, expr: str, unit: str, text: str) -> Panel:
    return Panel(title, "number", width, ((expr, title),), unit, text)


def _lines(title: str, width: int, unit: str, text: str, *queries: Query) -> Panel:
    return Panel(title, "lines", width, queries, unit, text)


_REAL: Final = 'simulated="false",source!="recorded"'
_FRESH: Final = "tapehouse_newest_event_trading_age_seconds"

ROWS: Final[dict[str, tuple[Panel, ...]]] = {
    "Now": (
        _state(
            "Alerts", 3, 'count(ALERTS{alertstate="firing"}) or vector(0)', 1, "Firing now"
        ),
        _state(
            "Unreadable sources",
            3,
            "count(tapehouse_scrape_source_up == 0) or vector(0)",
            1,
            "Storages that the exporter could not read: what depends on them is unknown, not well",
        ),
        _state(
            "Gap",
            3,
            "(sum(abs(tapehouse_audit_gap_records)) or vector(0))"
            ' + sum(tapehouse_audit_verdict{verdict=~"violated|unknown"})',
            1,
            "Records that the newest audit misses; one more where it says violated or unknown",
        ),
        _state(
            "Failed tests",
            3,
            'sum(tapehouse_dbt_tests{status=~"fail|error",severity="error"}) or vector(0)',
            1,
            "dbt tests of the newest build that keep it from being published",
        ),
        _number(
            "Market open", 3, "tapehouse_market_open", "bool_yes_no", "Regular trading, by calendar"
        ),
        _number(
            "Half day", 3, "tapehouse_market_session_half_day", "bool_yes_no",
            "Whether the session that is open, or the next, closes early",
        ),
        _number(
            "Opens", 3, "1000 * tapehouse_market_session_open_timestamp_seconds", "dateTimeAsIso",
            "When the session that is open began, or the next one will",
        ),
        _number(
            "Closes", 3, "1000 * tapehouse_market_session_close_timestamp_seconds",
            "dateTimeAsIso", "When that session ends",
        ),
    ),
    "Freshness, in regular trading": (
        _lines(
            "Age of the newest event by hop", 12, "s",
            "The freshest symbol of each feed; replays and simulated data left out. "
            "It hangs between the last hop that is low and the first that is high.",
            (f"min by (stage, feed) ({_FRESH}{{{_REAL}}})", "{{feed}} in {{stage}}"),
        ),
        _lines(
            "Stalest symbols in gold", 12, "s",
            "What is closed makes nothing older",
            (
                f'topk(10, min by (symbol, feed) ({_FRESH}{{stage="gold",{_REAL}}}))',
                "{{symbol}} {{feed}}",
            ),
        ),
        _lines(
            "Newest event by hop, replays too", 12, "dateTimeAsIso",
            "When the newest event of a source happened, as each stage has it",
            (
                "1000 * max by (stage, feed, source) (tapehouse_newest_event_timestamp_seconds)",
                "{{source}} {{feed}} in {{stage}}",
            ),
        ),
        _lines(
            "Sessions that feeds lacked at the build", 12, "short",
            "gold_freshness, with the state that the build found",
            ("tapehouse_gold_feed_lag_sessions", "{{source}} {{feed}}: sessions"),
            (
                'tapehouse_gold_feed_status{status=~"late|stale"} == 1',
                "{{source}} {{feed}}: {{status}}",
            ),
        ),
    ),
    "Producers and Kafka": (
        _lines(
            "Sent and confirmed", 8, "cps", "Of producers that run and have an endpoint",
            ("sum by (topic) (rate(tapehouse_produce_sent_records_total[5m]))", "sent {{topic}}"),
            (
                "sum by (topic) (rate(tapehouse_produce_delivered_records_total[5m]))",
                "confirmed {{topic}}",
            ),
        ),
        _lines(
            "Refused, resent, unconfirmed", 8, "short", "In five minutes",
            ("sum(increase(tapehouse_produce_refused_records_total[5m]))", "dead letters"),
            ("sum(increase(tapehouse_produce_resent_records_total[5m]))", "sent again"),
            ("sum(increase(tapehouse_produce_unconfirmed_records_total[5m]))", "unconfirmed"),
            ("count by (source) (tapehouse_produce_info)", "producers of {{source}}"),
        ),
        _lines(
            "Into Kafka", 8, "cps", "Growth of the logs, and what retention removes",
            ("sum by (topic) (rate(tapehouse_kafka_log_end_offset[5m]))", "{{topic}}"),
            ("sum by (topic) (rate(tapehouse_kafka_log_start_offset[5m]))", "removed {{topic}}"),
        ),
        _lines(
            "Dead letters by reason", 8, "short", "All that the log has had",
            ("tapehouse_dead_letters_total", "{{reason}}"),
        ),
        _lines(
            "Spools", 8, "short", "Records on disk that Kafka has not taken, or never will",
            ("tapehouse_spool_records", "{{spool}}"),
            ("tapehouse_spool_set_aside_records", "{{spool}}: set aside"),
        ),
        _lines(
            "Requests left", 8, "short", "Of each provider's budget; below 0: shut",
            ("tapehouse_provider_requests_left", "{{provider}} {{limit}}"),
            ("-1 * (tapehouse_provider_shut == 1)", "{{provider}} is shut"),
        ),
    ),
    "Landing": (
        _lines(
            "Records that bronze lacks", 8, "short",
            "Log end less the end of the chain of objects, each from its own storage",
            (
                "tapehouse_kafka_log_end_offset"
                " - on (topic, partition) tapehouse_bronze_end_offset",
                "{{topic}}/{{partition}}",
            ),
        ),
        _lines(
            "Oldest record not in bronze", 8, "s", "As the landers tell it",
            ("tapehouse_land_oldest_unlanded_age_seconds", "{{topic}}/{{partition}}"),
            ("tapehouse_land_oldest_buffered_age_seconds", "held {{topic}}/{{partition}}"),
        ),
        _lines(
            "Received and landed", 8, "cps", "",
            ("sum(rate(tapehouse_land_received_records_total[5m]))", "received"),
            ("sum(rate(tapehouse_land_landed_records_total[5m]))", "landed"),
            ("sum(rate(tapehouse_land_landed_objects_total[5m]))", "objects"),
        ),
        _lines(
            "Bytes of lines", 8, "Bps", "",
            ("sum(rate(tapehouse_land_received_bytes_total[5m]))", "received"),
            ("sum(rate(tapehouse_land_landed_bytes_total[5m]))", "landed"),
        ),
        _lines(
            "Held in memory", 8, "decbytes", "Lines that are read and not in bronze",
            ("sum by (instance) (tapehouse_land_buffered_bytes)", "{{instance}}"),
        ),
        _lines(
            "Landers' state", 8, "short", "1 where it is so",
            ("tapehouse_land_failing", "{{instance}} is failing"),
            ("tapehouse_land_paused", "{{instance}} is paused"),
            ("sum by (code) (increase(tapehouse_land_alarms_total[5m]))", "alarm {{code}}"),
        ),
    ),
    "Lake": (
        _lines(
            "Jobs: seconds of the last run", 8, "s", "",
            ("tapehouse_job_duration_seconds", "{{job_name}}"),
        ),
        _lines(
            "Jobs: rows and rejects of the last run", 8, "short", "",
            ("tapehouse_job_written_rows", "{{job_name}} {{table}}"),
            ("tapehouse_job_rejected_records", "{{job_name}} {{reason}}"),
            ("tapehouse_job_read_records", "{{job_name}} read"),
        ),
        _lines(
            "Jobs: age and outcome", 8, "s", "Time since each job's last run; -1 where it failed",
            ("time() - tapehouse_job_finished_timestamp_seconds", "{{job_name}}"),
            ("-1 * (tapehouse_job_succeeded == 0)", "{{job_name}} failed"),
        ),
        _lines(
            "Stream: records", 8, "cps", "Of the stream, where it runs and has an endpoint",
            ("rate(tapehouse_stream_records_total[5m])", "read"),
        ),
        _lines(
            "Stream: behind, and its state", 8, "short", "",
            ("tapehouse_stream_behind_records", "behind"),
            ("tapehouse_stream_state_rows", "rows of state"),
        ),
        _lines(
            "Stream: batches", 8, "s", "",
            ("tapehouse_stream_batch_duration_seconds", "duration"),
            ("time() - tapehouse_stream_progress_timestamp_seconds", "age"),
        ),
    ),
    "Warehouse": (
        _lines(
            "Loaded rows", 8, "cps", "By raw table, from the load ledger",
            ("rate(tapehouse_load_rows_total[15m])", "{{target}}"),
        ),
        _lines(
            "Loaded files and bytes", 8, "short", "",
            ("sum(increase(tapehouse_load_files_total[15m]))", "files in 15 minutes"),
            ("sum(increase(tapehouse_load_bytes_total[15m]))", "bytes in 15 minutes"),
        ),
        _lines(
            "Quotes that no load brought yet", 8, "short", "Bronze against the raw table",
            (
                'tapehouse_bronze_end_offset{topic="stock-quotes"}'
                " - on (topic, generation, partition) tapehouse_warehouse_end_offset",
                "partition {{partition}}",
            ),
        ),
        _lines(
            "Judged rows", 8, "short", "What silver made of raw rows",
            ("tapehouse_judged_rows", "{{kind}} {{verdict}}"),
        ),
        _lines(
            "Quarantine by rule", 8, "short", "",
            ("tapehouse_quarantine_rows", "{{kind}}: {{rule}}"),
        ),
        _lines(
            "Records by stage", 8, "short", "Of the newest audit, each from a stage's own storage",
            ("sum by (stage) (tapehouse_audit_records)", "{{stage}}"),
        ),
        _lines(
            "dbt tests", 8, "short", "Of the newest build that was tested",
            ("tapehouse_dbt_tests", "{{severity}} {{status}}"),
            ("tapehouse_dbt_test_failing_rows > 0", "rows: {{severity}} {{status}}"),
        ),
        _lines(
            "Builds", 8, "short", "In the last hour",
            ("increase(tapehouse_builds_total[1h])", "{{status}}"),
            ("tapehouse_build_last_failed", "the newest failed"),
            ("tapehouse_build_published_duration_seconds", "seconds of the last"),
        ),
        _lines(
            "Age of gold, of loads and of the audit", 8, "s", "",
            ("time() - tapehouse_gold_published_timestamp_seconds", "gold"),
            ("time() - max(tapehouse_load_last_timestamp_seconds)", "newest load"),
            ("time() - tapehouse_audit_finished_timestamp_seconds", "audit"),
            ("time() - tapehouse_run_finished_timestamp_seconds", "{{dag_id}}"),
        ),
        _lines(
            "Rows of gold", 12, "short", "",
            ("tapehouse_gold_rows", "{{mart}}"),
        ),
        _lines(
            "Airflow's runs", 12, "bool_yes_no", "Whether each DAG's newest run succeeded",
            ("tapehouse_run_succeeded", "{{dag_id}}"),
        ),
    ),
    "Platform": (
        _lines(
            "Disk", 8, "decbytes", "Of the state folder",
            ("tapehouse_disk_free_bytes", "free"),
            ("tapehouse_disk_size_bytes", "size"),
        ),
        _lines(
            "Targets and sources", 8, "bool_yes_no", "",
            ("up", "{{job}} {{instance}}"),
            ("tapehouse_scrape_source_up", "{{source}}"),
        ),
        _lines(
            "Reading the sources", 8, "s", "Seconds each took; age of what was read last",
            ("tapehouse_scrape_source_duration_seconds", "{{source}}"),
            ("tapehouse_scrape_source_age_seconds > 15", "{{source}}: age"),
        ),
    ),
}  # fmt: skip
