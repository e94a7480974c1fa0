"""Signed requests on connections of our own: what no S3 client would send on purpose.

A request is signed for one body and may be sent with another, in pieces, or half.
"""

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import get_session

from ingestion.errors import StoreUnavailableError
from ingestion.settings import StoreSettings

TIMEOUT_S: Final = 20.0
NO_ANSWER: Final = 0
UNDECIDED: Final = frozenset({NO_ANSWER, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Request:
    """One request as it goes out, without its body."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """A response's status and headers; names of headers are lower case."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Wire:
    """How to reach the store without a client; processes hand it to each other."""

    url: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)

    @classmethod
    def of_lander(cls, settings: StoreSettings) -> "Wire":
        """Return the wire of the lander's identity.

        Raises:
            SettingsError: its keys are not set.
        """
        return cls(settings.url(), settings.region, *settings.keys("lander"))

    def connection(self) -> http.client.HTTPConnection:
        """Return a new connection; it connects with its first request."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            authorities = get_session().get_config_variable("ca_bundle")  # as the client's
            context = ssl.create_default_context(cafile=authorities)
            return http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=context)
        return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)

    def signed(
        self, method: str, bucket: str, key: str, body: bytes, headers: Mapping[str, str]
    ) -> Request:
        """Return a request that is valid with ``body`` and with no other."""
        place = f"/{bucket}/{quote(key)}"
        request = AWSRequest(method, self.url.rstrip("/") + place, dict(headers), body)
        credentials = Credentials(self.access_key, self.secret_key)
        S3SigV4Auth(credentials, "s3", self.region).add_auth(request)
        return self._request(method, place, dict(request.headers.items()), len(body))

    def unsigned(
        self, method: str, bucket: str, key: str, body: bytes, headers: Mapping[str, str]
    ) -> Request:
        """Return the same request of nobody."""
        return self._request(method, f"/{bucket}/{quote(key)}", headers, len(body))

    def send(self, request: Request, body: bytes) -> Answer:
        """Send a request with ``body`` and return the answer.

        Raises:
            StoreUnavailableError: there is none, or it is one of the store's own failures.
        """
        connection = self.connection()
        what = f"{request.method} {request.target}"
        try:
            begin(connection, request, body)
            answer = finish(connection)
        except (OSError, http.client.HTTPException) as error:
            raise StoreUnavailableError(f"the store does not answer: {what}: {error!r}") from error
        finally:
            connection.close()
        if answer.status in UNDECIDED:
            raise StoreUnavailableError(f"the store is not available: {what}: {answer.status}")
        return answer

    def send_part(self, request: Request, body: bytes) -> int:
        """Send a request with too short a body, hang up and return the status, if one comes."""
        connection = self.connection()
        try:
            begin(connection, request, body)
            # Only our direction is closed: the store answers or hangs up when it has noticed.
            connection.sock.shutdown(socket.SHUT_WR)
            return finish(connection).status
        except (OSError, http.client.HTTPException):
            return NO_ANSWER
        finally:
            connection.close()

    def _request(self, method: str, place: str, headers: Mapping[str, str], length: int) -> Request:
        target = urlsplit(self.url).path.rstrip("/") + place
        return Request(method, target, dict(headers) | {"Content-Length": str(length)})


def begin(connection: http.client.HTTPConnection, request: Request, body: bytes) -> None:
    """Send a request's head and as much of its body as is given."""
    connection.putrequest(request.method, request.target, skip_accept_encoding=True)
    for name, value in request.headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    if body:
        connection.send(body)


def finish(connection: http.client.HTTPConnection) -> Answer:
    """Return the answer to the request that was sent."""
    response = connection.getresponse()
    response.read()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()})
