-- One role for each of the three who come here daily. All of them end in SYSADMIN, so that whoever
-- looks after the account can look after what they own.
use role securityadmin;

create role if not exists ${database}_LOADER comment = 'Tapehouse: appends to the raw tables';
create role if not exists ${database}_TRANSFORMER comment = 'Tapehouse: dbt, from raw to gold';
create role if not exists ${database}_READER comment = 'Tapehouse: reads published gold';

grant role ${database}_LOADER to role sysadmin;
grant role ${database}_TRANSFORMER to role sysadmin;
grant role ${database}_READER to role sysadmin;
