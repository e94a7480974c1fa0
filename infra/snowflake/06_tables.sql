-- The load's tables, as in ingestion/load/duckdb.sql. The loader may append to them and owns none: a
-- column that the lake has gained is added here, by an `alter table … add column if not exists`
-- below its table, and comes with the next bootstrap.
use role sysadmin;

create table if not exists ${database}.ops.load_ledger (
    target varchar not null,
    file varchar not null,
    snapshot_id bigint,
    -- `rows`, as in DuckDB, is a reserved word here.
    row_count bigint not null,
    bytes bigint not null,
    batch_id bigint not null,
    loaded_at timestamp_ntz not null,
    primary key (target, file)
);

-- Its one row is updated by whoever writes a list, and so locked for everybody else.
create table if not exists ${database}.ops.load_lock (
    holder varchar not null,
    taken_at timestamp_ltz not null
);
insert into ${database}.ops.load_lock (holder, taken_at)
select 'nobody', current_timestamp()
where not exists (select holder from ${database}.ops.load_lock);

create table if not exists ${database}.common.bronze_stock_quotes_raw (
    v variant,
    topic varchar not null,
    generation varchar not null,
    partition integer not null,
    file varchar not null,
    loaded_at timestamp_ntz not null,
    batch_id bigint not null
);

create table if not exists ${database}.common.bronze_stock_quotes_rejects (
    topic varchar not null,
    generation varchar not null,
    partition integer not null,
    offset bigint,
    line_number bigint not null,
    reason varchar not null,
    raw varchar not null,
    raw_encoding varchar not null,
    file varchar not null,
    loaded_at timestamp_ntz not null,
    batch_id bigint not null
);

create table if not exists ${database}.common.bars_raw (
    event_id varchar,
    source varchar,
    symbol varchar,
    currency varchar,
    adjustment varchar,
    interval varchar,
    run_id varchar,
    open decimal(38, 18),
    high decimal(38, 18),
    low decimal(38, 18),
    close decimal(38, 18),
    adj_close decimal(38, 18),
    volume bigint,
    simulated boolean,
    session_date date,
    event_at timestamp_ntz,
    fetched_at timestamp_ntz,
    start_at timestamp_ntz,
    as_of timestamp_ntz,
    topic varchar,
    generation varchar,
    partition integer,
    offset bigint,
    kafka_timestamp timestamp_ntz,
    compacted_at timestamp_ntz,
    file varchar not null,
    snapshot_id bigint not null,
    loaded_at timestamp_ntz not null,
    batch_id bigint not null
);

create table if not exists ${database}.common.corporate_actions_raw (
    event_id varchar,
    source varchar,
    symbol varchar,
    type varchar,
    currency varchar,
    run_id varchar,
    ratio decimal(38, 18),
    amount decimal(38, 18),
    simulated boolean,
    ex_date date,
    session_date date,
    event_at timestamp_ntz,
    fetched_at timestamp_ntz,
    as_of timestamp_ntz,
    topic varchar,
    generation varchar,
    partition integer,
    offset bigint,
    kafka_timestamp timestamp_ntz,
    compacted_at timestamp_ntz,
    file varchar not null,
    snapshot_id bigint not null,
    loaded_at timestamp_ntz not null,
    batch_id bigint not null
);

create table if not exists ${database}.common.rejects_raw (
    topic varchar,
    generation varchar,
    partition integer,
    offset bigint,
    kafka_timestamp timestamp_ntz,
    key varchar,
    headers varchar,
    reason varchar,
    detail varchar,
    raw varchar,
    event_id varchar,
    schema varchar,
    session_date date,
    compacted_at timestamp_ntz,
    file varchar not null,
    snapshot_id bigint not null,
    loaded_at timestamp_ntz not null,
    batch_id bigint not null
);

create table if not exists ${database}.common.daily_stock_metrics_raw (
    symbol varchar,
    source varchar,
    simulated boolean,
    session_date date,
    daily_open decimal(18, 6),
    daily_high decimal(18, 6),
    daily_low decimal(18, 6),
    daily_close decimal(18, 6),
    daily_volume bigint,
    daily_change double,
    bar_event_id varchar,
    as_of timestamp_ntz,
    revision integer,
    computed_at timestamp_ntz,
    file varchar not null,
    snapshot_id bigint not null,
    loaded_at timestamp_ntz not null,
    batch_id bigint not null
);

create table if not exists ${database}.common.realtime_stock_analytics_raw (
    symbol varchar,
    source varchar,
    simulated boolean,
    session_date date,
    window_end_at timestamp_ntz,
    window_15m_start_at timestamp_ntz,
    window_1h_start_at timestamp_ntz,
    ma_15m double,
    ma_1h double,
    volatility_15m double,
    volatility_1h double,
    return_volatility_15m double,
    return_volatility_1h double,
    vwap_15m double,
    vwap_1h double,
    volume_sum_15m decimal(28, 6),
    volume_sum_1h decimal(28, 6),
    n_obs_15m bigint,
    n_obs_1h bigint,
    coverage_15m double,
    coverage_1h double,
    ma_5_periods double,
    ma_15_periods double,
    ma_30_periods double,
    is_partial_15m boolean,
    is_partial_1h boolean,
    is_final boolean,
    revision integer,
    as_of timestamp_ntz,
    computed_at timestamp_ntz,
    file varchar not null,
    snapshot_id bigint not null,
    loaded_at timestamp_ntz not null,
    batch_id bigint not null
);

create table if not exists ${database}.common.trade_bars_raw (
    symbol varchar,
    source varchar,
    interval varchar,
    segment varchar,
    open decimal(18, 6),
    high decimal(18, 6),
    low decimal(18, 6),
    close decimal(18, 6),
    volume decimal(28, 6),
    vwap double,
    n_trades bigint,
    simulated boolean,
    is_final boolean,
    session_date date,
    start_at timestamp_ntz,
    end_at timestamp_ntz,
    revision integer,
    as_of timestamp_ntz,
    computed_at timestamp_ntz,
    file varchar not null,
    snapshot_id bigint not null,
    loaded_at timestamp_ntz not null,
    batch_id bigint not null
);

create table if not exists ${database}.common.anomalies_raw (
    symbol varchar,
    source varchar,
    rule varchar,
    subject varchar,
    detail varchar,
    value double,
    threshold double,
    simulated boolean,
    session_date date,
    event_at timestamp_ntz,
    revision integer,
    as_of timestamp_ntz,
    computed_at timestamp_ntz,
    file varchar not null,
    snapshot_id bigint not null,
    loaded_at timestamp_ntz not null,
    batch_id bigint not null
);
