-- A warehouse each, so that the bill tells loading, building and reading apart. A minute after its
-- last statement it sleeps; nothing that hangs runs for longer than its time-out.
use role sysadmin;

create warehouse if not exists ${database}_LOADER_WH warehouse_size = xsmall initially_suspended = true;
create warehouse if not exists ${database}_TRANSFORMER_WH warehouse_size = xsmall initially_suspended = true;
create warehouse if not exists ${database}_READER_WH warehouse_size = xsmall initially_suspended = true;

-- The size is not set again: a larger one that somebody has chosen stays.
alter warehouse ${database}_LOADER_WH set
    auto_suspend = 60 auto_resume = true
    statement_timeout_in_seconds = 900 statement_queued_timeout_in_seconds = 600;
-- A full build of sixteen years takes minutes; an hour means that something is wrong.
alter warehouse ${database}_TRANSFORMER_WH set
    auto_suspend = 60 auto_resume = true
    statement_timeout_in_seconds = 3600 statement_queued_timeout_in_seconds = 600;
-- A screen that waits longer is closed by its user.
alter warehouse ${database}_READER_WH set
    auto_suspend = 60 auto_resume = true
    statement_timeout_in_seconds = 120 statement_queued_timeout_in_seconds = 60;

-- Snowflake lets ACCOUNTADMIN alone make monitors and put warehouses under them.
use role accountadmin;

create resource monitor if not exists ${database}_MONITOR with
    credit_quota = ${monthly_credits} frequency = monthly start_timestamp = immediately
    triggers on 75 percent do notify on 100 percent do suspend on 110 percent do suspend_immediate;
alter resource monitor ${database}_MONITOR set credit_quota = ${monthly_credits};

alter warehouse ${database}_LOADER_WH set resource_monitor = ${database}_MONITOR;
alter warehouse ${database}_TRANSFORMER_WH set resource_monitor = ${database}_MONITOR;
alter warehouse ${database}_READER_WH set resource_monitor = ${database}_MONITOR;
