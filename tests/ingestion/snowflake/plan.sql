-- 01_roles.sql
-- One role for each of the three who come here daily. All of them end in SYSADMIN, so that whoever
-- looks after the account can look after what they own.
use role securityadmin;

create role if not exists STOCKS_MDS_LOADER comment = 'Tapehouse: appends to the raw tables';
create role if not exists STOCKS_MDS_TRANSFORMER comment = 'Tapehouse: dbt, from raw to gold';
create role if not exists STOCKS_MDS_READER comment = 'Tapehouse: reads published gold';

grant role STOCKS_MDS_LOADER to role sysadmin;
grant role STOCKS_MDS_TRANSFORMER to role sysadmin;
grant role STOCKS_MDS_READER to role sysadmin;

-- 02_warehouses.sql
-- A warehouse each, so that the bill tells loading, building and reading apart. A minute after its
-- last statement it sleeps; nothing that hangs runs for longer than its time-out. Of the first
-- generation, whose credits an hour are those that the load's estimate counts with.
use role sysadmin;

create warehouse if not exists STOCKS_MDS_LOADER_WH
    warehouse_size = xsmall generation = '1' initially_suspended = true;
create warehouse if not exists STOCKS_MDS_TRANSFORMER_WH
    warehouse_size = xsmall generation = '1' initially_suspended = true;
create warehouse if not exists STOCKS_MDS_READER_WH
    warehouse_size = xsmall generation = '1' initially_suspended = true;

-- Size and generation are not set again: what somebody has chosen stays.
alter warehouse STOCKS_MDS_LOADER_WH set
    auto_suspend = 60 auto_resume = true
    statement_timeout_in_seconds = 900 statement_queued_timeout_in_seconds = 600;
-- A full build of sixteen years takes minutes; an hour means that something is wrong.
alter warehouse STOCKS_MDS_TRANSFORMER_WH set
    auto_suspend = 60 auto_resume = true
    statement_timeout_in_seconds = 3600 statement_queued_timeout_in_seconds = 600;
-- A screen that waits longer is closed by its user.
alter warehouse STOCKS_MDS_READER_WH set
    auto_suspend = 60 auto_resume = true
    statement_timeout_in_seconds = 120 statement_queued_timeout_in_seconds = 60;

-- Snowflake lets ACCOUNTADMIN alone make monitors and put warehouses under them. A monitor each:
-- whoever reads gold goes on reading when a load or a build has run away.
use role accountadmin;

create resource monitor if not exists STOCKS_MDS_LOADER_MONITOR with
    credit_quota = 10 frequency = monthly start_timestamp = immediately
    triggers on 75 percent do notify on 100 percent do suspend on 110 percent do suspend_immediate;
create resource monitor if not exists STOCKS_MDS_TRANSFORMER_MONITOR with
    credit_quota = 10 frequency = monthly start_timestamp = immediately
    triggers on 75 percent do notify on 100 percent do suspend on 110 percent do suspend_immediate;
create resource monitor if not exists STOCKS_MDS_READER_MONITOR with
    credit_quota = 10 frequency = monthly start_timestamp = immediately
    triggers on 75 percent do notify on 100 percent do suspend on 110 percent do suspend_immediate;
alter resource monitor STOCKS_MDS_LOADER_MONITOR set credit_quota = 10;
alter resource monitor STOCKS_MDS_TRANSFORMER_MONITOR set credit_quota = 10;
alter resource monitor STOCKS_MDS_READER_MONITOR set credit_quota = 10;

alter warehouse STOCKS_MDS_LOADER_WH set resource_monitor = STOCKS_MDS_LOADER_MONITOR;
alter warehouse STOCKS_MDS_TRANSFORMER_WH set resource_monitor = STOCKS_MDS_TRANSFORMER_MONITOR;
alter warehouse STOCKS_MDS_READER_WH set resource_monitor = STOCKS_MDS_READER_MONITOR;

-- 03_database.sql
-- The schemas of the load (common, ops) and of dbt_stocks/dbt_project.yml. With managed access: who
-- owns a table in one does not decide who else may use it. `gold` has none, since TRANSFORMER gives
-- READER its rights on what it publishes.
use role sysadmin;

create database if not exists STOCKS_MDS comment = 'Tapehouse';

create schema if not exists STOCKS_MDS.common with managed access comment = 'Raw tables, append only';
create schema if not exists STOCKS_MDS.ops with managed access comment = 'Books of the load, of builds and of tests';
create schema if not exists STOCKS_MDS.reference with managed access comment = 'Seeds: sessions, instruments';
create schema if not exists STOCKS_MDS.bronze with managed access comment = 'One view per raw table';
create schema if not exists STOCKS_MDS.verdicts with managed access comment = 'Every raw record with its verdict';
create schema if not exists STOCKS_MDS.silver with managed access comment = 'Valid records, current and revisions';
create schema if not exists STOCKS_MDS.quarantine with managed access comment = 'Records that break a rule';
create schema if not exists STOCKS_MDS.gold_candidate with managed access comment = 'Marts before they are tested';
create schema if not exists STOCKS_MDS.gold comment = 'Published marts';

-- Of a database that was made without.
alter schema STOCKS_MDS.common enable managed access;
alter schema STOCKS_MDS.ops enable managed access;
alter schema STOCKS_MDS.reference enable managed access;
alter schema STOCKS_MDS.bronze enable managed access;
alter schema STOCKS_MDS.verdicts enable managed access;
alter schema STOCKS_MDS.silver enable managed access;
alter schema STOCKS_MDS.quarantine enable managed access;
alter schema STOCKS_MDS.gold_candidate enable managed access;

-- Marts are written anew, and earlier builds are kept as clones: nobody travels in time here, and what
-- is replaced is paid for no longer. Publications say the same of gold and its clones.
alter schema STOCKS_MDS.gold_candidate set data_retention_time_in_days = 0;

-- 04_stages.sql
-- Where files lie for COPY. Formats are named, so that a change of one is a change here, which comes
-- with the next bootstrap.
use role sysadmin;

-- A bronze object: one JSON document a line.
create or alter file format STOCKS_MDS.common.bronze_lines
    type = json compression = zstd strip_outer_array = false multi_line = false;
-- A data file of the lake: logical types, or a timestamp arrives as a number.
create or alter file format STOCKS_MDS.common.lake_parquet
    type = parquet use_logical_type = true binary_as_text = false;

-- For a store that Snowflake cannot reach: the load PUTs its files here, and removes them after the
-- ledger has them.
create stage if not exists STOCKS_MDS.common.incoming;

-- 05_external_stages.sql
-- For buckets that Snowflake can reach. Left out where SNOWFLAKE_STORAGE_ROLE_ARN is not set.
-- The integration holds no key: Snowflake takes on an AWS role that may read both buckets, and that
-- trusts the user that `describe integration STOCKS_MDS_STORAGE` names.
use role accountadmin;

create storage integration if not exists STOCKS_MDS_STORAGE
    type = external_stage storage_provider = 'S3' enabled = true
    storage_aws_role_arn = 'arn:aws:iam::123456789012:role/tapehouse-snowflake'
    storage_allowed_locations = ('s3://bronze/', 's3://lake/');
alter storage integration STOCKS_MDS_STORAGE set
    storage_aws_role_arn = 'arn:aws:iam::123456789012:role/tapehouse-snowflake'
    storage_allowed_locations = ('s3://bronze/', 's3://lake/');
-- Whoever makes the stages; whoever reads them needs the stages alone.
grant usage on integration STOCKS_MDS_STORAGE to role sysadmin;

use role sysadmin;

create stage if not exists STOCKS_MDS.common.bronze_objects
    url = 's3://bronze/' storage_integration = STOCKS_MDS_STORAGE
    file_format = (format_name = 'STOCKS_MDS.common.bronze_lines');
create stage if not exists STOCKS_MDS.common.lake_files
    url = 's3://lake/' storage_integration = STOCKS_MDS_STORAGE
    file_format = (format_name = 'STOCKS_MDS.common.lake_parquet');
-- Of stages that were made for other buckets, or with another format.
alter stage STOCKS_MDS.common.bronze_objects set
    url = 's3://bronze/' storage_integration = STOCKS_MDS_STORAGE
    file_format = (format_name = 'STOCKS_MDS.common.bronze_lines');
alter stage STOCKS_MDS.common.lake_files set
    url = 's3://lake/' storage_integration = STOCKS_MDS_STORAGE
    file_format = (format_name = 'STOCKS_MDS.common.lake_parquet');

-- 06_tables.sql
-- The load's tables, as in ingestion/load/duckdb.sql. The loader may append to them and owns none: a
-- column that the lake has gained is added here, by an `alter table … add column if not exists`
-- below its table, and comes with the next bootstrap.
use role sysadmin;

create table if not exists STOCKS_MDS.ops.load_ledger (
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
create table if not exists STOCKS_MDS.ops.load_lock (
    holder varchar not null,
    taken_at timestamp_ltz not null
);
insert into STOCKS_MDS.ops.load_lock (holder, taken_at)
select 'nobody', current_timestamp()
where not exists (select holder from STOCKS_MDS.ops.load_lock);

create table if not exists STOCKS_MDS.common.bronze_stock_quotes_raw (
    v variant,
    topic varchar not null,
    generation varchar not null,
    partition integer not null,
    file varchar not null,
    loaded_at timestamp_ntz not null,
    batch_id bigint not null
);

create table if not exists STOCKS_MDS.common.bronze_stock_quotes_rejects (
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

create table if not exists STOCKS_MDS.common.bars_raw (
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

create table if not exists STOCKS_MDS.common.corporate_actions_raw (
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

create table if not exists STOCKS_MDS.common.rejects_raw (
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

create table if not exists STOCKS_MDS.common.daily_stock_metrics_raw (
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

create table if not exists STOCKS_MDS.common.realtime_stock_analytics_raw (
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

create table if not exists STOCKS_MDS.common.trade_bars_raw (
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

create table if not exists STOCKS_MDS.common.anomalies_raw (
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

-- 07_grants.sql
-- Least rights; rights.yml is the same as a table, and a test keeps them equal.
-- On all that is there and on all to come: whichever was made first, a table and its grant meet.
use role securityadmin;

-- LOADER appends. It cannot read gold, change or delete a row, or alter a table. Temporary tables
-- need no right beyond USAGE of their schema.
grant usage on warehouse STOCKS_MDS_LOADER_WH to role STOCKS_MDS_LOADER;
grant usage on database STOCKS_MDS to role STOCKS_MDS_LOADER;
grant usage on schema STOCKS_MDS.common to role STOCKS_MDS_LOADER;
grant select, insert on all tables in schema STOCKS_MDS.common to role STOCKS_MDS_LOADER;
grant select, insert on future tables in schema STOCKS_MDS.common to role STOCKS_MDS_LOADER;
grant usage on all file formats in schema STOCKS_MDS.common to role STOCKS_MDS_LOADER;
grant read, write on stage STOCKS_MDS.common.incoming to role STOCKS_MDS_LOADER;
grant usage on schema STOCKS_MDS.ops to role STOCKS_MDS_LOADER;
grant select, insert on table STOCKS_MDS.ops.load_ledger to role STOCKS_MDS_LOADER;
grant select, update on table STOCKS_MDS.ops.load_lock to role STOCKS_MDS_LOADER;

-- TRANSFORMER reads raw tables and makes everything else; it owns what it makes.
grant usage on warehouse STOCKS_MDS_TRANSFORMER_WH to role STOCKS_MDS_TRANSFORMER;
-- dbt begins each run with `create schema if not exists`, which needs the right although all are there.
grant usage, create schema on database STOCKS_MDS to role STOCKS_MDS_TRANSFORMER;
grant usage on schema STOCKS_MDS.common to role STOCKS_MDS_TRANSFORMER;
grant select on all tables in schema STOCKS_MDS.common to role STOCKS_MDS_TRANSFORMER;
grant select on future tables in schema STOCKS_MDS.common to role STOCKS_MDS_TRANSFORMER;
-- Its own books, of builds and tests; the load's ledger is none of them.
grant usage, create table on schema STOCKS_MDS.ops to role STOCKS_MDS_TRANSFORMER;
grant usage, create table, create view on schema STOCKS_MDS.reference to role STOCKS_MDS_TRANSFORMER;
grant usage, create table, create view on schema STOCKS_MDS.bronze to role STOCKS_MDS_TRANSFORMER;
grant usage, create table, create view on schema STOCKS_MDS.verdicts to role STOCKS_MDS_TRANSFORMER;
grant usage, create table, create view on schema STOCKS_MDS.silver to role STOCKS_MDS_TRANSFORMER;
grant usage, create table, create view on schema STOCKS_MDS.quarantine to role STOCKS_MDS_TRANSFORMER;
grant usage, create table, create view on schema STOCKS_MDS.gold_candidate to role STOCKS_MDS_TRANSFORMER;
-- Publishing swaps this schema with another one of TRANSFORMER's, which needs both to be its own.
grant ownership on schema STOCKS_MDS.gold to role STOCKS_MDS_TRANSFORMER copy current grants;

-- READER sees published gold and nothing else. What comes later has the same rights, given by each
-- publication before readers see it: a future grant would go with the schema that is swapped out.
grant usage on warehouse STOCKS_MDS_READER_WH to role STOCKS_MDS_READER;
grant usage on database STOCKS_MDS to role STOCKS_MDS_READER;
grant usage on schema STOCKS_MDS.gold to role STOCKS_MDS_READER;
grant select on all tables in schema STOCKS_MDS.gold to role STOCKS_MDS_READER;
grant select on all views in schema STOCKS_MDS.gold to role STOCKS_MDS_READER;

-- 08_external_grants.sql
-- Left out together with 05_external_stages.sql. USAGE of an external stage includes reading; writing
-- is up to the AWS role, which may read alone.
use role securityadmin;

grant usage on stage STOCKS_MDS.common.bronze_objects to role STOCKS_MDS_LOADER;
grant usage on stage STOCKS_MDS.common.lake_files to role STOCKS_MDS_LOADER;

-- 09_service_users.sql
-- A user for each role: no password, a key pair, from known addresses. Each has one role and no
-- secondary ones, so that its rights are those of rights.yml; and the parameters on which results
-- rest (ingestion/snowflake/connection.py), whatever the account's are.
use role securityadmin;

create network policy if not exists STOCKS_MDS_POLICY allowed_ip_list = ('203.0.113.7');
alter network policy STOCKS_MDS_POLICY set allowed_ip_list = ('203.0.113.7');

create user if not exists STOCKS_MDS_LOADER type = service comment = 'Tapehouse';
alter user STOCKS_MDS_LOADER set
    default_role = STOCKS_MDS_LOADER default_secondary_roles = ()
    default_warehouse = STOCKS_MDS_LOADER_WH default_namespace = STOCKS_MDS.common
    rsa_public_key = '<public key of SNOWFLAKE_LOADER_PRIVATE_KEY_PATH>' network_policy = STOCKS_MDS_POLICY
    timezone = 'UTC' timestamp_type_mapping = 'TIMESTAMP_NTZ' week_start = 0
    quoted_identifiers_ignore_case = false;
grant role STOCKS_MDS_LOADER to user STOCKS_MDS_LOADER;

create user if not exists STOCKS_MDS_TRANSFORMER type = service comment = 'Tapehouse';
alter user STOCKS_MDS_TRANSFORMER set
    default_role = STOCKS_MDS_TRANSFORMER default_secondary_roles = ()
    default_warehouse = STOCKS_MDS_TRANSFORMER_WH default_namespace = STOCKS_MDS.silver
    rsa_public_key = '<public key of SNOWFLAKE_TRANSFORMER_PRIVATE_KEY_PATH>' network_policy = STOCKS_MDS_POLICY
    timezone = 'UTC' timestamp_type_mapping = 'TIMESTAMP_NTZ' week_start = 0
    quoted_identifiers_ignore_case = false
    -- Whichever warehouse a layer is given; and what a killed build has begun shall not end later.
    statement_timeout_in_seconds = 3600 abort_detached_query = true;
grant role STOCKS_MDS_TRANSFORMER to user STOCKS_MDS_TRANSFORMER;

create user if not exists STOCKS_MDS_READER type = service comment = 'Tapehouse';
alter user STOCKS_MDS_READER set
    default_role = STOCKS_MDS_READER default_secondary_roles = ()
    default_warehouse = STOCKS_MDS_READER_WH default_namespace = STOCKS_MDS.gold
    rsa_public_key = '<public key of SNOWFLAKE_READER_PRIVATE_KEY_PATH>' network_policy = STOCKS_MDS_POLICY
    timezone = 'UTC' timestamp_type_mapping = 'TIMESTAMP_NTZ' week_start = 0
    quoted_identifiers_ignore_case = false;
grant role STOCKS_MDS_READER to user STOCKS_MDS_READER;

-- 10_layer_warehouses.sql
-- A warehouse that dbt is to use for a layer, made by somebody: once for each that
-- SNOWFLAKE_SILVER_WAREHOUSE and SNOWFLAKE_GOLD_WAREHOUSE name. It counts as TRANSFORMER's.
use role securityadmin;

grant usage on warehouse BIG_WH to role STOCKS_MDS_TRANSFORMER;

use role accountadmin;

alter warehouse BIG_WH set resource_monitor = STOCKS_MDS_TRANSFORMER_MONITOR;

