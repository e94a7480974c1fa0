-- Where files lie for COPY. Formats are named, so that a change of one is a change here, which comes
-- with the next bootstrap.
use role sysadmin;

-- A bronze object: one JSON document a line.
create or alter file format ${database}.common.bronze_lines
    type = json compression = zstd strip_outer_array = false multi_line = false;
-- A data file of the lake: logical types, or a timestamp arrives as a number.
create or alter file format ${database}.common.lake_parquet
    type = parquet use_logical_type = true binary_as_text = false;

-- For a store that Snowflake cannot reach: the load PUTs its files here, and removes them after the
-- ledger has them.
create stage if not exists ${database}.common.incoming;
