"""What a running service says to those who ask it over its port: health, clock, upgrades."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

import msgspec

from greenroom import __version__
from greenroom.cli.access import CommandRefused
from greenroom.cli.api import Endpoint, foreign, unreachable
from greenroom.cli.doctor.findings import Finding, fault, note, ok
from greenroom.cli.escaping import printable
from greenroom.cli.verbose import note_request
from greenroom.network.addresses import in_url, reachable
from greenroom.protocol.errors import TLS_ONLY

PROBE_SECONDS = 5.0

CLOCK_SECONDS = 60.0
"""How far the clocks may differ: a request 5 minutes off is refused."""

_UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "Z3JlZW5yb29tIGRvY3Rvcg==",
    "sec-websocket-protocol": "no-token",
}
"""A handshake that a service refuses for its token, and for nothing else."""


class Answer(msgspec.Struct, frozen=True):
    """An answer to a probe."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Health(msgspec.Struct, frozen=True):
    """What a service says of its health."""

    status: str
    version: str
    failing: dict[str, str] = {}
    degraded: dict[str, str] = {}
    """What fails in part: the service is ready all the same."""


def ask(endpoint: Endpoint, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return the answer to a request that is not signed.

    Raises:
        CommandRefused: nobody answers.
    """
    tls = endpoint.tls()
    where = (endpoint.host, endpoint.port)
    connection: http.client.HTTPConnection = (
        http.client.HTTPConnection(*where, timeout=PROBE_SECONDS)
        if tls is None
        else http.client.HTTPSConnection(*where, timeout=PROBE_SECONDS, context=tls)
    )
    started = time.monotonic()
    try:
        given = {"host": endpoint.authority, **(headers or {})}
        connection.request("GET", endpoint.path + path, headers=given)
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.headers.items()}
        found = Answer(answer.status, names, answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise unreachable(endpoint, error) from error
    finally:
        connection.close()
    note_request(f"GET {endpoint.path}{path}", found.status, time.monotonic() - started)
    return found


def health(endpoint: Endpoint) -> Health:
    """Return what the service says of itself.

    Raises:
        CommandRefused: nobody answers, or not as Greenroom does.
    """
    answer = ask(endpoint, "/health/ready")
    try:
        return msgspec.json.decode(answer.body, type=Health)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise foreign(endpoint, answer.status, "/health/ready") from None


def listening(host: str, port: int) -> str:
    """Return what is at an address that another process has, as far as it can be told."""
    endpoint = Endpoint.parse(f"http://{in_url(reachable(host))}:{port}")
    try:
        answer = ask(endpoint, "/health/ready")
    except CommandRefused:
        return "something that does not speak HTTP"
    if _message(answer.body) == TLS_ONLY:
        return "another Greenroom, which serves over TLS"
    try:
        version = msgspec.json.decode(answer.body, type=Health).version
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "an HTTP server that is not Greenroom"
    return f"another Greenroom, version {version}, with another data directory"


def look(endpoint: Endpoint) -> Iterator[Finding]:
    """Return what there is to say of a running service, as it is reached there."""
    try:
        answer = ask(endpoint, "/health/live")
    except CommandRefused as refused:
        yield fault(
            "service", str(refused), "start it: greenroom serve; or say where it is with --url"
        )
        return
    try:
        found = health(endpoint)
    except CommandRefused as refused:
        remedy = "something else is there: end it, or say where the service is with --url"
        yield fault("service", str(refused), remedy)
        return
    yield _service(endpoint, found)
    yield _clocks(answer.headers.get("date"), time.time())
    yield _upgrades(endpoint)


def _service(endpoint: Endpoint, found: Health) -> Finding:
    if found.failing:
        why = _listed(found.failing | found.degraded)
        return fault("service", f"{endpoint.shown}: {why}", "docs, Runbooks: NotReady")
    said = f"{endpoint.shown}, version {found.version}, is ready"
    if found.degraded:
        remedy = "docs, Run it for real viewers: Probes"
        return note("service", f"{said}; fails in part: {_listed(found.degraded)}", remedy)
    if found.version != __version__:
        remedy = f"restart it to run {__version__}: greenroom serve --takeover"
        return note("service", f"{said}; this command is {__version__}", remedy)
    return ok("service", said)


def _listed(parts: Mapping[str, str]) -> str:
    return "; ".join(f"{part}: {meaning}" for part, meaning in parts.items())


def _clocks(date: str | None, now: float) -> Finding:
    if date is None:
        return note("clocks", "the service's answers have no Date", "let the proxy pass it on")
    try:
        apart = abs(parsedate_to_datetime(date).timestamp() - now)
    except (ValueError, OverflowError):
        said = f"the Date of the service's answers is none: {printable(date)}"
        return note("clocks", said, "let the proxy pass the service's on")
    if apart > CLOCK_SECONDS:
        return fault(
            "clocks",
            f"this machine's and the service's are {apart:.0f} seconds apart",
            "set the one that is wrong, and run chrony or systemd-timesyncd on it",
        )
    return ok("clocks", "this machine's and the service's agree")


def _upgrades(endpoint: Endpoint) -> Finding:
    """Ask for a WebSocket with a token that is none: that it is none is all that may be wrong."""
    try:
        answer = ask(endpoint, "/", _UPGRADE)
    except CommandRefused as refused:
        return fault("websocket", str(refused), "let the proxy pass upgrades on: docs, Proxies")
    kind = answer.headers.get("x-amzn-errortype", "")
    if answer.status == 426:
        said = str(_message(answer.body))
        return fault("websocket", said, "let the proxy pass both on: docs, Run it behind a proxy")
    if answer.status in (400, 401, 403) and kind:
        return ok("websocket", "handshakes arrive whole")
    return fault(
        "websocket",
        f"a handshake is answered with {answer.status} {kind}".rstrip(),
        "something else answers at this URL: let upgrades through to the service",
    )


def _message(body: bytes) -> object:
    try:
        members = json.loads(body)
    except ValueError:
        members = None
    found = members if isinstance(members, dict) else {}
    return found.get("ErrorMessage") or found.get("message") or "an upgrade does not arrive"
