"""What is sent, how often and where to, and why no answer came, as its caller is told.

`tests/client/test_ivschat.py` sends to a server that does what the test says.
"""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from unittest.mock import AsyncMock, Mock

import aiohttp
import pytest
from yarl import URL

from greenroom.aws.service import OPERATIONS
from greenroom.client.api.answers import Answer
from greenroom.client.api.credentials import Credentials, Resolver
from greenroom.client.api.errors import (
    IvschatError,
    NetworkingError,
    ParameterError,
    TimeoutExceeded,
)
from greenroom.client.api.options import HttpOptions, ParamValidation, RetryDelayOptions
from greenroom.client.api.requests import Built
from greenroom.client.api.sending import Response, Sender, Settings, _body, _Target

UNKNOWN_HOST = (
    "Inaccessible host: `somewhere' at port `443'."
    " This service may not be available in the `eu-west-1' region."
)

HERE: Any = Mock(host="somewhere", port=443)


def failed(error: Exception) -> NetworkingError:
    """Return what a failure is told as."""
    sender: Any = Mock(_settings=Mock(http=Mock(timeout=120_000.0)), _region="eu-west-1")
    return Sender._failure(sender, error, Mock(host="somewhere"))


@pytest.mark.parametrize(
    ("error", "kind", "code", "message"),
    [
        (
            aiohttp.ConnectionTimeoutError(),
            TimeoutExceeded,
            "TimeoutError",
            "Socket timed out without establishing a connection",
        ),
        (TimeoutError(), TimeoutExceeded, "TimeoutError", "Connection timed out after 120000ms"),
        (
            aiohttp.ServerDisconnectedError(),
            TimeoutExceeded,
            "TimeoutError",
            "socket hang up",
        ),
        (
            aiohttp.ClientConnectorDNSError(HERE, OSError()),
            NetworkingError,
            "UnknownEndpoint",
            UNKNOWN_HOST,
        ),
        (OSError(), NetworkingError, "NetworkingError", "no answer from somewhere: OSError"),
    ],
)
def test_each_may_pass(
    error: Exception, kind: type[NetworkingError], code: str, message: str
) -> None:
    """It is tried again; code and sentence are those of the SDK for JavaScript."""
    told = failed(error)
    assert (type(told), told.code, told.message) == (kind, code, message)
    assert told.retryable


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT])
def test_a_connection_that_is_lost_hangs_up(number: int) -> None:
    """Whichever way the system says it."""
    assert failed(aiohttp.ClientOSError(number, "")).message == "socket hang up"
    assert failed(OSError(errno.EACCES, "")).code == "NetworkingError"


# ------------------------------------------------------------------- with answers of the test's own

EMPTY = Answer(200, "OK", {"x-amzn-requestid": "the-request"}, b'{"rooms": [], "tags": {}}')
LIST = OPERATIONS["ListRooms"]
TAGS = OPERATIONS["ListTagsForResource"]


def refused(status: int, code: str = "", **headers: str) -> Answer:
    """Return an answer that is an error."""
    return Answer(status, "No", headers, b'{"__type": "%s"}' % code.encode())


class Wire(Sender):
    """A sender that notes what it would send, and gives the answers of the test."""

    def __init__(self, *given: Answer | Exception, **settings: Any) -> None:
        chosen: dict[str, Any] = {
            "endpoint": "http://here/base",
            "region": "eu-west-1",
            "ssl_enabled": True,
            "max_retries": 3,
            "max_redirects": 2,
            "retry_delay": RetryDelayOptions(base=0),
            "rules": None,
            "convert_response_types": True,
            "correct_clock_skew": False,
            "http": HttpOptions(),
        }
        keys: Any = Mock(wraps=Resolver(Credentials("AKIA", "secret", "session"), None))
        self.keys = keys
        super().__init__(Settings(**(chosen | settings)), keys, 0.0)
        self.sent: list[tuple[str, dict[str, str]]] = []
        self._given = list(given) or [EMPTY]

    async def _exchange(self, built: Built, target: Any, headers: dict[str, str]) -> Answer:
        self.sent.append((target.url, headers))
        given = self._given.pop(0) if len(self._given) > 1 else self._given[0]
        if isinstance(given, Exception):
            raise given
        return given

    async def list_rooms(self) -> Response:
        """Ask for rooms."""
        return await self.send(LIST, {}, signed=True)


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the seconds that are waited for, of which none passes."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr("greenroom.client.api.sending.asyncio.sleep", sleep)
    monkeypatch.setattr("greenroom.client.api.sending.random.random", lambda: 0.5)
    return found


async def test_what_is_sent() -> None:
    """The host, who asks, a signature for the region, and the type of a body if there is one."""
    wire = Wire()
    response = await wire.list_rooms()
    await wire.send(TAGS, {"resourceArn": "arn:a/b"}, signed=False)
    (url, headers), (other, unsigned) = wire.sent
    assert url == "http://here/base/ListRooms"
    assert headers["host"] == "here"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("greenroom/")
    assert "/eu-west-1/ivschat/aws4_request" in headers["authorization"]
    assert headers["x-amz-security-token"] == "session"
    assert other == "http://here/base/tags/arn%3Aa%2Fb"
    assert unsigned.keys() == {"host", "user-agent"}
    assert (response.status_code, response.request_id) == (200, "the-request")
    assert (response.retry_count, response.redirect_count) == (0, 0)
    assert response.headers == EMPTY.headers


async def test_parameters_are_looked_at_first() -> None:
    """By the rules, if there are any; nothing is sent of what breaks one."""
    wire = Wire(rules=ParamValidation(min=True))
    for params in ({"maxResults": 0}, {"maxResult": 1}):
        with pytest.raises(ParameterError):
            await wire.send(LIST, params, signed=True)
    assert wire.sent == []
    await wire.send(LIST, {"maxResults": 1}, signed=True)
    await Wire(rules=None).send(LIST, {"maxResults": 0}, signed=True)


@pytest.mark.parametrize(("status", "good"), [(200, True), (299, True), (300, False)])
async def test_what_is_a_result(status: int, good: bool) -> None:
    """Every status below 300."""
    wire = Wire(Answer(status, "", {}, b'{"rooms": []}'))
    if good:
        assert (await wire.list_rooms()).status_code == status
    else:
        with pytest.raises(IvschatError):
            await wire.list_rooms()


async def test_a_result_that_is_none() -> None:
    """It is told whose answer is not as the model says."""
    wire = Wire(Answer(201, "", {"x-amzn-requestid": "the-request"}, b"{}"))
    with pytest.raises(IvschatError, match="the answer is not as the model says") as caught:
        await wire.list_rooms()
    assert (caught.value.status_code, caught.value.request_id) == (201, "the-request")


async def test_redirects_are_followed_so_often(sleeps: list[float]) -> None:
    """Each to its place, at once; they are no retries. One more is an error."""
    first, second = refused(307, location="/one?a=b"), refused(301, location="http://there/two")
    wire = Wire(first, second, EMPTY)
    response = await wire.list_rooms()
    assert [url for url, _ in wire.sent] == [
        "http://here/base/ListRooms",
        "http://here/one?a=b",
        "http://there/two",
    ]
    assert [headers["host"] for _, headers in wire.sent] == ["here", "here", "there"]
    assert (response.retry_count, response.redirect_count) == (0, 2)
    wire = Wire(first)
    with pytest.raises(IvschatError):
        await wire.list_rooms()
    assert (len(wire.sent), sleeps) == (3, [])


async def test_attempts_are_bounded(sleeps: list[float]) -> None:
    """The first and so many more; how many there were is told in either case."""
    wire = Wire(refused(500), retry_delay=RetryDelayOptions())
    with pytest.raises(IvschatError) as caught:
        await wire.list_rooms()
    assert (len(wire.sent), caught.value.retry_count) == (4, 3)
    assert sleeps == [0.05, 0.1, 0.2]
    wire = Wire(refused(500), refused(500), EMPTY)
    assert (await wire.list_rooms()).retry_count == 2
    wire = Wire(refused(400))
    with pytest.raises(IvschatError) as caught:
        await wire.list_rooms()
    assert (len(wire.sent), caught.value.retry_delay) == (1, None)


@pytest.mark.parametrize(
    ("says", "attempts", "waited", "delay"),
    [(None, 2, [0.0], 0), (0, 2, [0.0], 0), (250, 2, [0.25], 250), (-1, 1, [], -1)],
)
async def test_a_back_off_of_ones_own(
    sleeps: list[float], says: Any, attempts: int, waited: list[float], delay: float
) -> None:
    """In milliseconds; nothing is none, and less than none ends it."""
    chosen = RetryDelayOptions(custom_backoff=lambda *_: says)
    wire = Wire(refused(500), retry_delay=chosen, max_retries=1)
    with pytest.raises(IvschatError) as caught:
        await wire.list_rooms()
    assert (len(wire.sent), sleeps) == (attempts, waited)
    assert caught.value.retry_delay in (delay, None)


async def test_keys_that_have_expired_are_fetched_anew(sleeps: list[float]) -> None:
    """Those that the service calls so, and no others."""
    for code, times in (("ExpiredTokenException", 1), ("ThrottlingException", 0)):
        wire = Wire(refused(403, code), EMPTY)
        await wire.list_rooms()
        assert wire.keys.expire.call_count == times


async def test_the_region_of_the_profile_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither the options nor the environment say one."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    read = Mock(return_value="of-profile")
    monkeypatch.setattr("greenroom.client.api.sending.region_of_profile", read)
    wire = Wire(region=None)
    for _ in range(2):
        await wire.list_rooms()
        assert "/of-profile/" in wire.sent[-1][1]["authorization"]
    read.assert_called_once_with()
    monkeypatch.setenv("AWS_REGION", "of-environment")
    await (wire := Wire(region=None)).list_rooms()
    assert "/of-environment/" in wire.sent[-1][1]["authorization"]


class Session:
    """In place of aiohttp's: notes the request, and answers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.reasons = ["Created", None]
        self.failure: Exception | None = None

    @asynccontextmanager
    async def request(self, method: str, url: URL, **more: Any) -> AsyncIterator[Any]:
        """Answer a request."""
        self.asked.append((method, str(url), more))
        if self.failure is not None:
            raise self.failure

        async def chunks() -> AsyncIterator[bytes]:
            yield b"{}"

        headers = {"X-Amzn-RequestId": "id", "Date": formatdate(NOW + 900, usegmt=True)}
        content = Mock(iter_any=chunks)
        yield Mock(status=201, reason=self.reasons.pop(0), headers=headers, content=content)


def sender_over(session: Session, **settings: Any) -> Sender:
    """Return a sender that asks such a session."""
    sender = Sender(Wire(**settings)._settings, Mock(), 0.0)
    sender._session = session  # type: ignore[assignment]  # a double
    return sender


async def test_an_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path goes as it is, nothing is added, and the service's time is looked at."""
    monkeypatch.setattr("greenroom.client.api.sending.time", Mock(time=lambda: NOW))
    session, http = Session(), HttpOptions(proxy="http://proxy", ssl=False)
    sender = sender_over(session, http=http, correct_clock_skew=True)
    target = _Target("http", "here", "/tags/arn%3Aa%2Fb", "a=b%20c")
    answer = await sender._exchange(Built("POST", "", "", b"{}"), target, {"h": "x"})
    assert (await sender._exchange(Built("GET", "", "", b""), target, {})).reason == ""
    headers = {"x-amzn-requestid": "id", "date": formatdate(NOW + 900, usegmt=True)}
    assert answer == Answer(201, "Created", headers, b"{}")
    assert sender.clock_offset == 900_000
    (method, url, more), (_, _, without) = session.asked
    assert (method, url) == ("POST", "http://here/tags/arn%3Aa%2Fb?a=b%20c")
    assert more == {
        "data": b"{}",
        "headers": {"h": "x"},
        "skip_auto_headers": ("Content-Type",),
        "allow_redirects": False,
        "proxy": "http://proxy",
        "ssl": False,
    }
    assert without["data"] is None


@pytest.mark.parametrize("failure", [aiohttp.ClientError(), OSError(), TimeoutError()])
async def test_an_exchange_that_fails(failure: Exception) -> None:
    """It is told as what it means, with its cause."""
    session = Session()
    session.failure = failure
    target = _Target("http", "here", "/", "")
    with pytest.raises(NetworkingError) as caught:
        await sender_over(session)._exchange(Built("GET", "", "", b""), target, {})
    assert caught.value.__cause__ is failure


NOW = 1_796_000_000.0
"""2026-11-30, in seconds."""


@pytest.mark.parametrize(
    ("asked", "ahead", "offset"),
    [
        (True, 300, 300_000),
        (True, -300, -300_000),
        (True, 299, 0),
        (True, -299, 0),
        (False, 900, 0),
    ],
)
def test_a_clock_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, asked: bool, ahead: int, offset: float
) -> None:
    """It is corrected by the service's time where that was asked for, and it is far off."""
    monkeypatch.setattr("greenroom.client.api.sending.time.time", lambda: NOW)
    wire = Wire(correct_clock_skew=asked)
    wire._look_at_clock(None)
    wire._look_at_clock("no date")
    assert wire.clock_offset == 0
    wire._look_at_clock(formatdate(NOW + ahead, usegmt=True))
    assert wire.clock_offset == offset
    # What was corrected is right from then on.
    wire._look_at_clock(formatdate(NOW + ahead, usegmt=True))
    assert wire.clock_offset == offset


async def test_requests_are_signed_with_the_corrected_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Milliseconds of the offset are added."""
    monkeypatch.setattr("greenroom.client.api.sending.time.time", lambda: NOW)
    wire = Wire()
    wire.clock_offset = 61_000.0
    await wire.list_rooms()
    signed = datetime.fromtimestamp(NOW + 61, UTC)
    assert wire.sent[0][1]["x-amz-date"] == f"{signed:%Y%m%dT%H%M%SZ}"


@pytest.mark.parametrize(
    ("http", "connect", "idle", "owns", "environment"),
    [
        (HttpOptions(), 120.0, 120.0, True, True),
        (HttpOptions(timeout=500), 0.5, 0.5, True, True),
        (HttpOptions(timeout=0), None, None, True, True),
        (HttpOptions(timeout=0, connect_timeout=250), 0.25, None, True, True),
        (HttpOptions(connect_timeout=250, proxy="http://proxy"), 0.25, 120.0, True, False),
        (HttpOptions(connector=Mock()), 120.0, 120.0, False, True),
    ],
)
def test_how_the_service_is_reached(
    monkeypatch: pytest.MonkeyPatch,
    http: HttpOptions,
    connect: float | None,
    idle: float | None,
    owns: bool,
    environment: bool,
) -> None:
    """Milliseconds are seconds there, none is no limit; one session serves all requests."""
    made = Mock()
    monkeypatch.setattr("greenroom.client.api.sending.aiohttp.ClientSession", made)
    monkeypatch.setattr("greenroom.client.api.sending.aiohttp.DummyCookieJar", Mock())
    wire = Wire(http=http)
    assert wire._open_session() is wire._open_session()
    made.assert_called_once()
    chosen = made.call_args.kwargs
    assert chosen["timeout"] == aiohttp.ClientTimeout(connect=connect, sock_read=idle)
    assert (chosen["connector"], chosen["connector_owner"]) == (http.connector, owns)
    assert chosen["trust_env"] is environment


async def test_what_is_closed_is_opened_anew() -> None:
    """And closed once."""
    wire, session = Wire(), AsyncMock()
    await wire.close()
    wire._session = session
    await wire.close()
    await wire.close()
    session.close.assert_awaited_once_with()
    assert wire._session is None


@pytest.mark.parametrize(("size", "good"), [(10, True), (11, False)])
async def test_how_long_an_answer_may_be(
    monkeypatch: pytest.MonkeyPatch, size: int, good: bool
) -> None:
    """The bound is still allowed."""
    monkeypatch.setattr("greenroom.client.api.sending.LONGEST_ANSWER_BYTES", 10)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 6
        yield b"y" * (size - 6)

    answer: Any = Mock(status=202, content=Mock(iter_any=chunks))
    if good:
        assert await _body(answer) == b"x" * 6 + b"y" * 4
    else:
        with pytest.raises(IvschatError, match="longer than 10 bytes") as caught:
            await _body(answer)
        assert caught.value.status_code == 202
