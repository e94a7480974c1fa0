-- For buckets that Snowflake can reach. Left out where SNOWFLAKE_STORAGE_ROLE_ARN is not set.
-- The integration holds no key: Snowflake takes on an AWS role that may read both buckets, and that
-- trusts the user that `describe integration ${database}_STORAGE` names.
use role accountadmin;

create storage integration if not exists ${database}_STORAGE
    type = external_stage storage_provider = 'S3' enabled = true
    storage_aws_role_arn = '${storage_role_arn}'
    storage_allowed_locations = ('${bronze_url}', '${lake_url}');
alter storage integration ${database}_STORAGE set
    storage_aws_role_arn = '${storage_role_arn}'
    storage_allowed_locations = ('${bronze_url}', '${lake_url}');
-- Whoever makes the stages; whoever reads them needs the stages alone.
grant usage on integration ${database}_STORAGE to role sysadmin;

use role sysadmin;

create stage if not exists ${database}.common.bronze_objects
    url = '${bronze_url}' storage_integration = ${database}_STORAGE
    file_format = (format_name = '${database}.common.bronze_lines');
create stage if not exists ${database}.common.lake_files
    url = '${lake_url}' storage_integration = ${database}_STORAGE
    file_format = (format_name = '${database}.common.lake_parquet');
-- Of stages that were made for other buckets, or with another format.
alter stage ${database}.common.bronze_objects set
    url = '${bronze_url}' storage_integration = ${database}_STORAGE
    file_format = (format_name = '${database}.common.bronze_lines');
alter stage ${database}.common.lake_files set
    url = '${lake_url}' storage_integration = ${database}_STORAGE
    file_format = (format_name = '${database}.common.lake_parquet');
