-- The schemas of the load (common, ops) and of dbt_stocks/dbt_project.yml. With managed access: who
-- owns a table in one does not decide who else may use it. `gold` has none, since TRANSFORMER gives
-- READER its rights on what it publishes.
use role sysadmin;

create database if not exists ${database} comment = 'Tapehouse';

create schema if not exists ${database}.common with managed access comment = 'Raw tables, append only';
create schema if not exists ${database}.ops with managed access comment = 'Books of the load, of builds and of tests';
create schema if not exists ${database}.reference with managed access comment = 'Seeds: sessions, instruments';
create schema if not exists ${database}.bronze with managed access comment = 'One view per raw table';
create schema if not exists ${database}.verdicts with managed access comment = 'Every raw record with its verdict';
create schema if not exists ${database}.silver with managed access comment = 'Valid records, current and revisions';
create schema if not exists ${database}.quarantine with managed access comment = 'Records that break a rule';
create schema if not exists ${database}.gold_candidate with managed access comment = 'Marts before they are tested';
create schema if not exists ${database}.gold comment = 'Published marts';

-- Of a database that was made without.
alter schema ${database}.common enable managed access;
alter schema ${database}.ops enable managed access;
alter schema ${database}.reference enable managed access;
alter schema ${database}.bronze enable managed access;
alter schema ${database}.verdicts enable managed access;
alter schema ${database}.silver enable managed access;
alter schema ${database}.quarantine enable managed access;
alter schema ${database}.gold_candidate enable managed access;

-- Marts are written anew, and earlier builds are kept as clones: nobody travels in time here, and what
-- is replaced is paid for no longer. Publications say the same of gold and its clones.
alter schema ${database}.gold_candidate set data_retention_time_in_days = 0;
