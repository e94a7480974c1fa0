-- A user for each role: no password, a key pair, from known addresses. Each has one role and no
-- secondary ones, so that its rights are those of rights.yml; and the parameters on which results
-- rest (ingestion/snowflake/connection.py), whatever the account's are.
use role securityadmin;

create network policy if not exists ${database}_POLICY allowed_ip_list = (${allowed_ips});
alter network policy ${database}_POLICY set allowed_ip_list = (${allowed_ips});

create user if not exists ${database}_LOADER type = service comment = 'Tapehouse';
alter user ${database}_LOADER set
    default_role = ${database}_LOADER default_secondary_roles = ()
    default_warehouse = ${database}_LOADER_WH default_namespace = ${database}.common
    rsa_public_key = '${loader_public_key}' network_policy = ${database}_POLICY
    timezone = 'UTC' timestamp_type_mapping = 'TIMESTAMP_NTZ' week_start = 0
    quoted_identifiers_ignore_case = false;
grant role ${database}_LOADER to user ${database}_LOADER;

create user if not exists ${database}_TRANSFORMER type = service comment = 'Tapehouse';
alter user ${database}_TRANSFORMER set
    default_role = ${database}_TRANSFORMER default_secondary_roles = ()
    default_warehouse = ${database}_TRANSFORMER_WH default_namespace = ${database}.silver
    rsa_public_key = '${transformer_public_key}' network_policy = ${database}_POLICY
    timezone = 'UTC' timestamp_type_mapping = 'TIMESTAMP_NTZ' week_start = 0
    quoted_identifiers_ignore_case = false
    -- Whichever warehouse a layer is given; and what a killed build has begun shall not end later.
    statement_timeout_in_seconds = 3600 abort_detached_query = true;
grant role ${database}_TRANSFORMER to user ${database}_TRANSFORMER;

create user if not exists ${database}_READER type = service comment = 'Tapehouse';
alter user ${database}_READER set
    default_role = ${database}_READER default_secondary_roles = ()
    default_warehouse = ${database}_READER_WH default_namespace = ${database}.gold
    rsa_public_key = '${reader_public_key}' network_policy = ${database}_POLICY
    timezone = 'UTC' timestamp_type_mapping = 'TIMESTAMP_NTZ' week_start = 0
    quoted_identifiers_ignore_case = false;
grant role ${database}_READER to user ${database}_READER;
