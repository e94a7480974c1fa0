-- Left out together with 05_external_stages.sql. USAGE of an external stage includes reading; writing
-- is up to the AWS role, which may read alone.
use role securityadmin;

grant usage on stage ${database}.common.bronze_objects to role ${database}_LOADER;
grant usage on stage ${database}.common.lake_files to role ${database}_LOADER;
