-- Least rights; rights.yml is the same as a table, and a test keeps them equal.
-- On all that is there and on all to come: whichever was made first, a table and its grant meet.
use role securityadmin;

-- LOADER appends. It cannot read gold, change or delete a row, or alter a table. Temporary tables
-- need no right beyond USAGE of their schema.
grant usage on warehouse ${database}_LOADER_WH to role ${database}_LOADER;
grant usage on database ${database} to role ${database}_LOADER;
grant usage on schema ${database}.common to role ${database}_LOADER;
grant select, insert on all tables in schema ${database}.common to role ${database}_LOADER;
grant select, insert on future tables in schema ${database}.common to role ${database}_LOADER;
grant usage on all file formats in schema ${database}.common to role ${database}_LOADER;
grant read, write on stage ${database}.common.incoming to role ${database}_LOADER;
grant usage on schema ${database}.ops to role ${database}_LOADER;
grant select, insert on table ${database}.ops.load_ledger to role ${database}_LOADER;
grant select, update on table ${database}.ops.load_lock to role ${database}_LOADER;

-- TRANSFORMER reads raw tables and makes everything else; it owns what it makes.
grant usage on warehouse ${database}_TRANSFORMER_WH to role ${database}_TRANSFORMER;
-- dbt begins each run with `create schema if not exists`, which needs the right although all are there.
grant usage, create schema on database ${database} to role ${database}_TRANSFORMER;
grant usage on schema ${database}.common to role ${database}_TRANSFORMER;
grant select on all tables in schema ${database}.common to role ${database}_TRANSFORMER;
grant select on future tables in schema ${database}.common to role ${database}_TRANSFORMER;
-- Its own books, of builds and tests; the load's ledger is none of them.
grant usage, create table on schema ${database}.ops to role ${database}_TRANSFORMER;
grant usage, create table, create view on schema ${database}.reference to role ${database}_TRANSFORMER;
grant usage, create table, create view on schema ${database}.bronze to role ${database}_TRANSFORMER;
grant usage, create table, create view on schema ${database}.verdicts to role ${database}_TRANSFORMER;
grant usage, create table, create view on schema ${database}.silver to role ${database}_TRANSFORMER;
grant usage, create table, create view on schema ${database}.quarantine to role ${database}_TRANSFORMER;
grant usage, create table, create view on schema ${database}.gold_candidate to role ${database}_TRANSFORMER;
-- Publishing swaps this schema with another one of TRANSFORMER's, which needs both to be its own.
grant ownership on schema ${database}.gold to role ${database}_TRANSFORMER copy current grants;

-- READER sees published gold and nothing else. What comes later has the same rights, given by each
-- publication before readers see it: a future grant would go with the schema that is swapped out.
grant usage on warehouse ${database}_READER_WH to role ${database}_READER;
grant usage on database ${database} to role ${database}_READER;
grant usage on schema ${database}.gold to role ${database}_READER;
grant select on all tables in schema ${database}.gold to role ${database}_READER;
grant select on all views in schema ${database}.gold to role ${database}_READER;
