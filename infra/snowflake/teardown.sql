-- Everything that 01 to 09 make, with all rows. Only of a scratch database.
use role sysadmin;

drop database if exists ${database};
drop warehouse if exists ${database}_LOADER_WH;
drop warehouse if exists ${database}_TRANSFORMER_WH;
drop warehouse if exists ${database}_READER_WH;

use role accountadmin;

drop integration if exists ${database}_STORAGE;
drop resource monitor if exists ${database}_LOADER_MONITOR;
drop resource monitor if exists ${database}_TRANSFORMER_MONITOR;
drop resource monitor if exists ${database}_READER_MONITOR;

-- A network policy cannot be dropped while a user has it.
use role securityadmin;

drop user if exists ${database}_LOADER;
drop user if exists ${database}_TRANSFORMER;
drop user if exists ${database}_READER;
drop network policy if exists ${database}_POLICY;
drop role if exists ${database}_LOADER;
drop role if exists ${database}_TRANSFORMER;
drop role if exists ${database}_READER;
