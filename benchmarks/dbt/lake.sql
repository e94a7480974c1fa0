-- The lake's tables, as ingestion/load/duckdb.sql has their columns, made of the relation `days`:
-- daily bars as traded, with the hours of their sessions.
create table bars as
select
    md5('bar|' || symbol || '|' || session_date) as event_id,
    source,
    symbol,
    'USD' as currency,
    'raw' as adjustment,
    '1d' as interval,
    'bench' as run_id,
    open::decimal(38, 18) as open,
    high::decimal(38, 18) as high,
    low::decimal(38, 18) as low,
    close::decimal(38, 18) as close,
    adjusted_close::decimal(18, 6)::decimal(38, 18) as adj_close,
    volume,
    false as simulated,
    session_date,
    open_at as event_at,
    close_at + interval 15 minutes as fetched_at,
    open_at as start_at,
    close_at + interval 15 minutes as as_of,
    'stock-market-batch' as topic,
    repeat('0', 31) || '1' as generation,
    0 as partition,
    row_number() over (order by session_date, symbol) as "offset",
    close_at + interval 15 minutes as kafka_timestamp,
    close_at + interval 20 minutes as compacted_at
from days;

create table corporate_actions as
with actions as (
    select *, 'split' as type, split_coefficient as ratio, null as amount
    from days
    where split_coefficient <> 1
    union all
    select *, 'dividend', null, dividend_amount
    from days
    where dividend_amount > 0
)

select
    md5(type || '|' || symbol || '|' || session_date) as event_id,
    source,
    symbol,
    type,
    'USD' as currency,
    'bench' as run_id,
    -- As the contract has them: a third of a share needs more decimals than a price.
    ratio::decimal(38, 18) as ratio,
    amount::decimal(18, 6)::decimal(38, 18) as amount,
    false as simulated,
    session_date as ex_date,
    session_date,
    open_at as event_at,
    close_at + interval 15 minutes as fetched_at,
    close_at + interval 15 minutes as as_of,
    'stock-market-batch' as topic,
    repeat('0', 31) || '1' as generation,
    1 as partition,
    row_number() over (order by session_date, symbol, type) as "offset",
    close_at + interval 15 minutes as kafka_timestamp,
    close_at + interval 20 minutes as compacted_at
from actions;

create table daily_stock_metrics as
select
    symbol,
    source,
    false as simulated,
    session_date,
    open::decimal(18, 6) as daily_open,
    high::decimal(18, 6) as daily_high,
    low::decimal(18, 6) as daily_low,
    close::decimal(18, 6) as daily_close,
    volume as daily_volume,
    (close::double / open::double - 1) * 100 as daily_change,
    md5('bar|' || symbol || '|' || session_date) as bar_event_id,
    close_at + interval 15 minutes as as_of,
    1::integer as revision,
    close_at + interval 20 minutes as computed_at
from days
where low > 0 and low <= least(open, close) and greatest(open, close) <= high;
