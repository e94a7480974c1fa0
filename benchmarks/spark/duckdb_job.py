"""The same job in DuckDB, its own process: bronze objects to sorted, typed, deduplicated Parquet.

Usage: duckdb_job.py BRONZE OUTPUT THREADS. Prints when it began and ended, and what it counted.

It checks what compaction checks of a trade that is well-formed JSON. Left out: repeated keys, a
number where the contract wants text, unknown headers; what the lake already holds; positions,
offsets and branches: no commit, nothing to fall back to, one writer.
"""

import json
import sys
import time
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from ingestion import calendar
from ingestion.contracts.topics import REALTIME

_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z"
_NUMBER: Final = r"-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?"
_LINE: Final = {
    "offset": "BIGINT",
    "timestamp": "BIGINT",
    "key": "VARCHAR",
    "headers": "JSON",
    "value": {
        **dict.fromkeys(["schema", "event_id", "source", "symbol"], "VARCHAR"),
        **{"simulated": "BOOLEAN", "event_time": "VARCHAR", "fetched_at": "VARCHAR"},
        "run_id": "VARCHAR",
        "data": {
            **dict.fromkeys(["price", "size", "exchange", "action", "ref"], "VARCHAR"),
            **{"conditions": ["VARCHAR"], "seq": "BIGINT"},
        },
    },
}
_PARSED: Final = rf"""
create temp table parsed as
with
lines as (
    select line, filename
    from read_csv(
        $files, columns = {{'line': 'VARCHAR'}}, header = false, auto_detect = false,
        delim = '\x01', quote = '', escape = '', filename = true, max_line_size = 2097152
    )
),
records as (
    select
        line,
        cast(regexp_extract(filename, 'p=([0-9]+)', 1) as integer) as "partition",
        case when json_valid(line) then json_transform(line, $shape) end as r
    from lines
),
fields as (
    select
        line, "partition", r."offset" as "offset", r."timestamp" as kafka_ms, r."key" as "key",
        r.headers as headers, r.value as v, r.value.data as d,
        try_cast(r.value.event_time as timestamp) as event_at,
        try_cast(r.value.fetched_at as timestamp) as fetched_at,
        try_cast(r.value.data.price as decimal(18, 6)) as price,
        try_cast(r.value.data.size as decimal(18, 6)) as size
    from records
)
select
    * exclude (v, d), v.schema as "schema", v.event_id as event_id, v.source as source,
    v.symbol as symbol, v.simulated as simulated, v.run_id as run_id,
    d.exchange as exchange, d.conditions as conditions, d.seq as seq, d.action as action, d.ref,
    cast(timezone('America/New_York', cast(event_at as timestamptz)) as date) as local_date,
    case
        when "offset" is null then 'invalid_json'
        when v.schema is distinct from 'trade.v1' then
            if(json_type(line, '$.value') = 'OBJECT', 'unknown_schema', 'not_an_object')
        when
            not coalesce(
                regexp_full_match(v.event_id, '{_UUID}')
                and regexp_full_match(v.source, '[a-z0-9][a-z0-9_\-]{{0,63}}')
                and regexp_full_match(v.symbol, '[A-Z0-9^][A-Z0-9.\-=^]{{0,19}}')
                and regexp_full_match(v.event_time, '{_TIME}') and event_at is not null
                and regexp_full_match(v.fetched_at, '{_TIME}') and fetched_at is not null
                and length(v.run_id) between 1 and 64 and v.simulated is not null
                and regexp_full_match(d.price, '{_NUMBER}') and price is not null
                and regexp_full_match(d.size, '{_NUMBER}') and size is not null
                and d.conditions is not null and d.seq is not null
                and coalesce(d.action, 'new') in ('new', 'correct', 'cancel')
                and (d.ref is null or regexp_full_match(d.ref, '{_UUID}')),
                false
            )
            then 'contract'
    end as reason
from fields
"""  # noqa: S608 - patterns from above
_DOUBTFUL: Final = """
create temp table doubtful as
select event_id from parsed where reason is null group by event_id having count(*) > 1
"""
_JUDGED: Final = """
create temp view judged as
select p.* exclude (reason), s.session_date, coalesce(p.reason, a.reason,
    case when s.session_date is null then 'no_session' end) as reason
from parsed as p
left join sessions as s on p.local_date = s.session_date
left join again as a on p."partition" = a."partition" and p."offset" = a."offset"
"""
_AGAIN: Final = """
create temp table again as
select "partition", "offset", if(same, 'duplicate', 'conflict') as reason
from (
    select
        "partition", "offset",
        row_number() over first_kept as nth,
        hash(source, symbol, exchange, conditions, action, ref, price, size, seq, event_at)
            = first(hash(source, symbol, exchange, conditions, action, ref, price, size, seq,
                event_at)) over first_kept as same
    from parsed semi join doubtful using (event_id)
    where reason is null
    window first_kept as (partition by event_id order by kafka_ms, "partition", "offset")
)
where nth > 1
"""
_TRADES: Final = """
copy (
    select
        event_id, source, symbol, exchange, conditions, action, ref, run_id, price, size, seq,
        simulated, session_date, event_at, fetched_at, 'stock-market-realtime' as topic,
        "partition", "offset", make_timestamp_ms(kafka_ms) as kafka_timestamp
    from judged
    where reason is null
    order by session_date, symbol, event_at
) to '{folder}/trades' (format parquet, compression zstd, partition_by (session_date))
"""
_REJECTS: Final = """
copy (
    select "partition", "offset", "key", headers, reason,
        if(reason = 'duplicate', null, line) as raw, event_id, "schema", session_date
    from judged where reason is not null
) to '{folder}/rejects.parquet' (format parquet, compression zstd)
"""


def main(bronze: str, output: str, threads: int) -> None:
    """Do the job."""
    folder = Path(output)
    folder.mkdir()
    files = [str(path) for path in sorted(Path(bronze, REALTIME).glob("*/*/*.jsonl.zst"))]
    days = [session.session_date for session in calendar.get().sessions()]
    sessions = pa.table({"session_date": days})
    connection = duckdb.connect()
    connection.execute(f"set threads = {threads}; set timezone = 'UTC'")
    connection.execute(f"set temp_directory = '{folder}/spill'")
    begin = time.time()
    connection.register("sessions", sessions)
    connection.execute(_PARSED, {"files": files, "shape": json.dumps(_LINE)})
    connection.execute(_DOUBTFUL)
    connection.execute(_AGAIN)
    connection.execute(_JUDGED)
    connection.execute(_TRADES.format(folder=folder))
    connection.execute(_REJECTS.format(folder=folder))
    reasons = connection.execute("select reason, count(*) from judged group by all").fetchall()
    written = connection.execute(
        "select count(*), count(distinct event_id) from read_parquet(?)",
        [f"{folder}/trades/*/*.parquet"],
    ).fetchone()
    end = time.time()
    rejected = {reason: rows for reason, rows in reasons if reason is not None}
    found = {"begin": begin, "end": end, "kept": written and written[0], "rejected": rejected}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
