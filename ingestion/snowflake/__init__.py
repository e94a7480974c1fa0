import importlib
import warnings

with warnings.catch_warnings():
    # Its copy of requests warns of any urllib3 and chardet that is newer than itself; both work.
    warnings.filterwarnings("ignore", message="urllib3 .* doesn't match a supported version")
    importlib.import_module("snowflake.connector")
