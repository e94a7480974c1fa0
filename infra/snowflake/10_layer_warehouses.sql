-- A warehouse that dbt is to use for a layer, made by somebody: once for each that
-- SNOWFLAKE_SILVER_WAREHOUSE and SNOWFLAKE_GOLD_WAREHOUSE name. It counts as TRANSFORMER's.
use role securityadmin;

grant usage on warehouse ${layer_warehouse} to role ${database}_TRANSFORMER;

use role accountadmin;

alter warehouse ${layer_warehouse} set resource_monitor = ${database}_TRANSFORMER_MONITOR;
