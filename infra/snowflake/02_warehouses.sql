-- A warehouse each, so that the bill tells loading, building and reading apart. A minute after its
-- last statement it sleeps; nothing that hangs runs for longer than its time-out. Of the first
-- generation, whose credits an hour are those that the load's estimate counts with.
use role sysadmin;

create warehouse if not exists ${database}_LOADER_WH
    warehouse_size = xsmall generation = '1' initially_suspended = true;
create warehouse if not exists ${database}_TRANSFORMER_WH
    warehouse_size = xsmall generation = '1' initially_suspended = true;
create warehouse if not exists ${database}_READER_WH
    warehouse_size = xsmall generation = '1' initially_suspended = true;

-- Size and generation are not set again: what somebody has chosen stays.
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

-- Snowflake lets ACCOUNTADMIN alone make monitors and put warehouses under them. A monitor each:
-- whoever reads gold goes on reading when a load or a build has run away.
use role accountadmin;

create resource monitor if not exists ${database}_LOADER_MONITOR with
    credit_quota = ${monthly_credits} frequency = monthly start_timestamp = immediately
    triggers on 75 percent do notify on 100 percent do suspend on 110 percent do suspend_immediate;
create resource monitor if not exists ${database}_TRANSFORMER_MONITOR with
    credit_quota = ${monthly_credits} frequency = monthly start_timestamp = immediately
    triggers on 75 percent do notify on 100 percent do suspend on 110 percent do suspend_immediate;
create resource monitor if not exists ${database}_READER_MONITOR with
    credit_quota = ${monthly_credits} frequency = monthly start_timestamp = immediately
    triggers on 75 percent do notify on 100 percent do suspend on 110 percent do suspend_immediate;
alter resource monitor ${database}_LOADER_MONITOR set credit_quota = ${monthly_credits};
alter resource monitor ${database}_TRANSFORMER_MONITOR set credit_quota = ${monthly_credits};
alter resource monitor ${database}_READER_MONITOR set credit_quota = ${monthly_credits};

alter warehouse ${database}_LOADER_WH set resource_monitor = ${database}_LOADER_MONITOR;
alter warehouse ${database}_TRANSFORMER_WH set resource_monitor = ${database}_TRANSFORMER_MONITOR;
alter warehouse ${database}_READER_WH set resource_monitor = ${database}_READER_MONITOR;
