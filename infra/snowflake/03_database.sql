-- The schemas of the load (common, ops) and of dbt_stocks/dbt_project.yml.
use role sysadmin;

create database if not exists ${database} comment = 'Tapehouse';

create schema if not exists ${database}.common comment = 'Raw tables, append only';
create schema if not exists ${database}.ops comment = 'Books of the load, of builds and of tests';
create schema if not exists ${database}.reference comment = 'Seeds: sessions, instruments';
create schema if not exists ${database}.bronze comment = 'One view per raw table';
create schema if not exists ${database}.verdicts comment = 'Every raw record with its verdict';
create schema if not exists ${database}.silver comment = 'Valid records, current and revisions';
create schema if not exists ${database}.quarantine comment = 'Records that break a rule';
create schema if not exists ${database}.gold_candidate comment = 'Marts before they are tested';
create schema if not exists ${database}.gold comment = 'Published marts';
