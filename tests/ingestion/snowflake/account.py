"""A server that speaks as a Snowflake account does: it lets in whose key it knows, and answers.

It stands for what the emulator has not: keys that are checked, refusals, grants that can be shown.
"""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

Rows = list[tuple[str, ...]]
Body = dict[str, Any]
_GRANTS = ("created_on", "privilege", "granted_on", "name", "granted_to", "grantee_name")


@dataclass
class Account:
    """What the account knows, and what it was asked."""

    name: str
    keys: dict[str, rsa.RSAPublicKey] = field(default_factory=dict)
    refusal: tuple[int, str, str] | None = None
    """(HTTP status, Snowflake's code, text) of every login, where they are refused all the same."""
    grants: dict[str, Rows] = field(default_factory=dict)
    """(privilege, kind, name) by role."""
    session: dict[str, str] = field(default_factory=dict)
    """What differs from what the login asked for: user, role, warehouse, database."""
    parameters: dict[str, str] = field(default_factory=dict)
    """What is set for every user."""
    refused_statement: tuple[str, int, str] | None = None
    """(words, code, text): the statement with these words fails."""
    is_in_trouble: bool = False
    """Statements are answered by 503."""
    logins: list[Body] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    port: int = 0

    def login(self, body: Body, query: dict[str, list[str]]) -> tuple[int, Body]:
        data = body["data"]
        self.logins.append(data | {key: values[0] for key, values in query.items()})
        if self.refusal:
            status, code, text = self.refusal
            return status, _refused(code, text)
        if data["ACCOUNT_NAME"].upper() != self.name.upper():
            return 403, {}
        key = self.keys.get(data["LOGIN_NAME"])
        try:
            jwt.decode(data["TOKEN"], key or "", algorithms=["RS256"])
        except (jwt.PyJWTError, TypeError):
            return 200, _refused("390144", "JWT token is invalid. [0ce9eb56-821d-4ca9]")
        parameters = [{"name": "AUTOCOMMIT", "value": True}]
        data = {"token": "t", "parameters": parameters, "sessionInfo": {}}
        return 200, {"data": data, "success": True}

    def query(self, sql: str) -> tuple[int, Body]:
        self.statements.append(sql)
        if self.is_in_trouble:
            return 503, {}
        if self.refused_statement and self.refused_statement[0] in sql:
            _, code, text = self.refused_statement
            return 200, _refused(f"{code:06d}", text)
        if found := re.fullmatch(r"show grants to role (\w+)", sql):
            role = found[1]
            rows = [("2026-11-26", *row, "ROLE", role) for row in self.grants.get(role, [])]
            return 200, _result(_GRANTS, rows)
        if sql == "show parameters in user":
            return 200, _result(("key", "value"), list(self.parameters.items()))
        if sql.startswith("select current_user()"):
            login = self.logins[-1]
            names = {"user": "LOGIN_NAME", "role": "roleName", "warehouse": "warehouse"}
            names["database"] = "databaseName"
            row = tuple(str(self.session.get(name, login[key])) for name, key in names.items())
            return 200, _result(tuple(names), [row])
        return 200, _result(("status",), [("done",)])


@contextmanager
def serving(account: Account) -> Iterator[Account]:
    """Serve the account on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                raw = gzip.decompress(raw)
            url = urlsplit(self.path)
            body = json.loads(raw or b"{}")
            if url.path.endswith("login-request"):
                self._send(*account.login(body, parse_qs(url.query)))
            elif url.path.endswith("query-request"):
                self._send(*account.query(body["sqlText"]))
            else:
                self._send(200, {"success": True, "data": None})

        def _send(self, status: int, body: Body) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing: what was asked is kept in the account."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        account.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield account
        finally:
            server.shutdown()
            thread.join()


def _refused(code: str, text: str) -> Body:
    data = {"errorCode": code, "sqlState": "08001"}
    return {"data": data, "code": code, "message": text, "success": False}


def _result(columns: tuple[str, ...], rows: Rows) -> Body:
    kinds = [
        {"name": name, "type": "text", "nullable": True, "length": 100, "byteLength": 400,
         "precision": None, "scale": None}
        for name in columns
    ]  # fmt: skip
    data = {
        "rowtype": kinds, "rowset": [list(row) for row in rows], "total": len(rows),
        "returned": len(rows), "queryResultFormat": "json", "parameters": [], "queryId": "q",
    }  # fmt: skip
    return {"data": data, "code": None, "message": None, "success": True}
