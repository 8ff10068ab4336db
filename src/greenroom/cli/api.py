"""A client of the control plane: blocking, signed, one connection per thread that calls."""

import http.client
import json
import re
import ssl
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from greenroom.aws.signature import sigv4
from greenroom.cli.access import ClientKey, CommandRefused
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.verbose import note_request
from greenroom.protocol.errors import TLS_ONLY

TIMEOUT_SECONDS = 15
"""How long one answer may take: the nodes of a cluster give up what they wait for after 10."""

THROTTLED_SECONDS = 30
"""How long an operation is tried again that the service throttles."""

PAUSE_SECONDS = 0.05
"""Between two tries."""

_ABOUT_THE_KEY = (401, 403)
_UNKNOWN_KEY = ("InvalidClientTokenId", "UnrecognizedClientException")


_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")


class Endpoint(msgspec.Struct, frozen=True):
    """Where a service is: the API and the WebSockets are on one port."""

    host: str
    port: int
    secure: bool
    authority: str
    """What the Host header says."""
    path: str = ""
    """What all paths begin with: the service's `base_path`."""
    origin: str = ""
    """Where it was found, unless that goes without saying."""
    trusted: Path | None = None
    """The file of a certificate that is signed by itself."""

    @property
    def url(self) -> str:
        """Return the URL."""
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.path}"

    @property
    def shown(self) -> str:
        """Return the URL, and where it was found."""
        return f"{self.url} of {self.origin}" if self.origin else self.url

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """Read `http://HOST:PORT`, or `https://HOST:PORT`, with a path behind it or none.

        Raises:
            ValueError: it is something else.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise ValueError("must be http://HOST:PORT or https://HOST:PORT")
        if parts.query or parts.fragment or not _PATH.fullmatch(parts.path):
            raise ValueError("must end after the port, or after a path such as /chat")
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        return cls(parts.hostname, port, secure, parts.netloc, parts.path.rstrip("/"))

    def as_found(self, origin: str, trusted: Path | None = None) -> "Endpoint":
        """Return the same endpoint, with where it was found."""
        return msgspec.structs.replace(self, origin=origin, trusted=trusted)

    def tls(self) -> ssl.SSLContext | None:
        """Return how to check the service's certificate; None without TLS."""
        if not self.secure:
            return None
        context = ssl.create_default_context()
        if self.trusted is not None and self.trusted.exists():
            context.load_verify_locations(self.trusted)
        return context


class _OfThread(threading.local):
    connection: http.client.HTTPConnection | None = None


class Api:
    """Calls operations of the service; every thread has its own connection."""

    def __init__(
        self, endpoint: Endpoint, key: ClientKey, region: str, service: str = "ivschat"
    ) -> None:
        self.endpoint = endpoint
        self._key = key
        self._region = region
        self._service = service
        self.tls = endpoint.tls()
        self.also: Mapping[str, str] = {}
        """Headers beside, which are not signed."""
        self._local = _OfThread()
        self._connections: list[http.client.HTTPConnection] = []

    def of(self, service: str) -> "Api":
        """Return the same for another of the service's APIs."""
        return Api(self.endpoint, self._key, self._region, service)

    def call(self, operation: str, **parameters: object) -> dict[str, object]:
        """Return an operation's result; throttled requests are repeated for a while.

        Raises:
            CommandRefused: the service cannot be reached, or it answers with an error.
        """
        body = json.dumps(parameters).encode()
        deadline = time.monotonic() + THROTTLED_SECONDS
        while True:
            status, kind, text = self._exchange(f"{self.endpoint.path}/{operation}", body)
            if not is_throttled(kind) or time.monotonic() > deadline:
                return self._result(operation, status, kind, text)
            time.sleep(PAUSE_SECONDS)

    def peer(self) -> tuple[str, int]:
        """Return the address that answers: of several that a name has, the one in use."""
        connected = self._connection().sock
        if connected is None:
            return self.endpoint.host, self.endpoint.port
        address = connected.getpeername()
        return address[0], address[1]

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self._connections:
            connection.close()

    def _exchange(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """Return the answer's status, kind of error and body."""
        connection = self._connection()
        fresh = connection.sock is None
        started = time.monotonic()
        try:
            connection.request("POST", path, body, {**self._headers(path, body), **self.also})
            answer = connection.getresponse()
            text = answer.read()
            note_request(f"POST {path}", _shown(answer), time.monotonic() - started)
            return answer.status, answer.headers.get("x-amzn-errortype", ""), text
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if not fresh and isinstance(error, ConnectionError):
                # A connection may be closed while nothing is sent on it.
                return self._exchange(path, body)
            raise unreachable(self.endpoint, error) from None

    def _connection(self) -> http.client.HTTPConnection:
        connection = self._local.connection
        if connection is None:
            host, port = self.endpoint.host, self.endpoint.port
            connection = (
                http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
                if self.tls is None
                else http.client.HTTPSConnection(
                    host, port, timeout=TIMEOUT_SECONDS, context=self.tls
                )
            )
            self._local.connection = connection
            self._connections.append(connection)
        return connection

    def _headers(self, path: str, body: bytes) -> dict[str, str]:
        headers = {"host": self.endpoint.authority, "content-type": "application/json"}
        request = sigv4.Request("POST", path, "", tuple(headers.items()), body)
        key = self._key
        now = time.time()
        return headers | sigv4.sign(
            request,
            key.access_key_id,
            key.secret,
            self._region,
            self._service,
            now,
            key.session_token,
        )

    def _result(self, operation: str, status: int, kind: str, text: bytes) -> dict[str, object]:
        try:
            result = json.loads(text) if text else {}
        except ValueError:
            result = None
        if not isinstance(result, dict) or (status >= 300 and not kind):
            raise foreign(self.endpoint, status, operation)
        if result.get("message") == TLS_ONLY:
            raise unreachable(self.endpoint, ValueError(TLS_ONLY))
        if status < 300:
            return result
        said = result.get("message") or result.get("Message") or result.get("errorMessage") or ""
        raise refusal(self.endpoint, self._key, status, operation, (kind, str(said)))


def _shown(answer: http.client.HTTPResponse) -> str:
    return f"{answer.status}, request {answer.headers.get('x-amzn-requestid', '-')}"


def is_throttled(kind: str) -> bool:
    """Return whether an error says that there were too many requests: IVS Chat's name, or IAM's."""
    return kind.startswith("Throttling")


def refusal(
    endpoint: Endpoint, key: ClientKey, status: int, operation: str, error: tuple[str, str]
) -> CommandRefused:
    """Return the refusal for an answer that is an error, of which kind and message are given.

    One that is about who asks names the key, and where it was found.
    """
    kind, message = error
    who = f" (access key {key.shown}; {endpoint.shown})" if status in _ABOUT_THE_KEY else ""
    if kind in _UNKNOWN_KEY:
        who += "; --data-dir DIR takes the service's own key"
    is_refused = 400 <= status < 500 and not is_throttled(kind)
    code = ExitCode.REFUSED if is_refused else ExitCode.FAILED
    what = "refused" if is_refused else "failed at"
    return CommandRefused(f"the service {what} {operation}: {kind}: {message}{who}", code, kind)


def foreign(endpoint: Endpoint, status: int, operation: str) -> CommandRefused:
    """Return the refusal for an answer that is none of ours."""
    return CommandRefused(
        f"{endpoint.shown} answers {operation} with {status}, but not as Greenroom does",
        ExitCode.UNREACHABLE,
    )


_CLEAR_TEXT = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""What OpenSSL says of an answer in clear."""


def unreachable(endpoint: Endpoint, error: Exception) -> CommandRefused:
    """Return the refusal for a service that does not answer."""
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if getattr(error, "reason", None) in _CLEAR_TEXT:
        why = "it does not speak TLS: use http://"
    return CommandRefused(f"cannot reach {endpoint.shown}: {why}", ExitCode.UNREACHABLE)
