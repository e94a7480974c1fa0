"""Superset's configuration: what it reads by ``SUPERSET_CONFIG_PATH``; the rest is its default."""

import copy
import json
import os
from pathlib import Path
from typing import Any

from superset.config import TALISMAN_CONFIG as _POLICY

from infra.superset.gold import Gold

_settings = json.loads(Path(os.environ["TAPEHOUSE_SUPERSET"]).read_text())

SECRET_KEY = _settings["secret_key"]
GUEST_TOKEN_JWT_SECRET = _settings["guest_secret"]
SQLALCHEMY_DATABASE_URI = _settings["database"]
if SQLALCHEMY_DATABASE_URI.startswith("sqlite:"):
    # A dashboard's charts ask at once and each writes that it did: SQLite's 5 s were too few.
    SQLALCHEMY_ENGINE_OPTIONS = {"connect_args": {"timeout": 60}}

# Rules of row-level security and published builds change what a query gives: nothing is kept.
CACHE_CONFIG: dict[str, Any] = {"CACHE_TYPE": "NullCache"}
DATA_CACHE_CONFIG = CACHE_CONFIG

# Pages ask this host alone; Superset allows maps, fonts and a counting pixel of others besides.
TALISMAN_CONFIG = copy.deepcopy(_POLICY)
TALISMAN_CONFIG["content_security_policy"] |= {
    "img-src": ["'self'", "blob:", "data:"],
    "connect-src": ["'self'"],
    "style-src": ["'self'", "'unsafe-inline'"],
    "font-src": ["'self'"],
}

GOLD = Gold(Path(_settings["gold_folder"]), _settings["gold_url"])
DB_CONNECTION_MUTATOR = GOLD.connection

# What `prepare` gives the administrator.
ADMIN_PASSWORD = _settings["admin_password"]

# A row limit that cuts silently would be a wrong chart.
ROW_LIMIT = 50_000
SQL_MAX_ROW = 100_000
