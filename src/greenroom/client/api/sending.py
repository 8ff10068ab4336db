"""Send requests: signed, once more where that may help, to where redirects lead."""

import asyncio
import errno
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

import aiohttp
import msgspec
from yarl import URL

import greenroom
from greenroom.aws.shapes import Operation
from greenroom.aws.signature.sigv4 import Request, sign
from greenroom.client.api import answers, options, requests, results
from greenroom.client.api.answers import Answer
from greenroom.client.api.credentials import Resolver, region_of_profile
from greenroom.client.api.errors import IvschatError, NetworkingError, TimeoutExceeded
from greenroom.client.api.options import Endpoint, HttpOptions, ParamValidation, RetryDelayOptions
from greenroom.client.api.requests import Built
from greenroom.client.api.validation import validate

SKEWED_MILLISECONDS = 300_000
"""A clock that is wrong by less needs no correction."""

_RESET = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT})
"""A connection that was lost counts as time that is over, as in the SDK."""

LONGEST_ANSWER_BYTES = 16 * 1024 * 1024
"""Far more than 50 rooms with all that they may have."""

USER_AGENT = f"greenroom/{greenroom.__version__}"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a client was made with."""

    service: str = "ivschat"
    endpoint: str | None
    region: str | None
    ssl_enabled: bool
    max_retries: int
    max_redirects: int
    retry_delay: RetryDelayOptions
    rules: ParamValidation | None
    convert_response_types: bool
    correct_clock_skew: bool
    http: HttpOptions
    kind: options.EndpointKind = options.USUAL


class Response(msgspec.Struct, frozen=True):
    """How a request went that succeeded."""

    data: object
    status_code: int
    request_id: str | None
    headers: Mapping[str, str]
    """Names in lower case."""
    retry_count: int
    redirect_count: int


class _Target(msgspec.Struct, frozen=True):
    """Where one attempt goes."""

    scheme: str
    host: str
    path: str
    query: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}{'?' if self.query else ''}{self.query}"


class Sender:
    """Sends the requests of one client."""

    def __init__(self, settings: Settings, credentials: Resolver, clock_offset: float) -> None:
        """Make it; `clock_offset` is in milliseconds."""
        self.clock_offset = clock_offset
        self._settings = settings
        self._credentials = credentials
        self._region = settings.region or options.region_of_environment()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections that are not in use."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(
        self, operation: Operation, params: Mapping[str, object], *, signed: bool
    ) -> Response:
        """Send a request whose parameters have the model's names, as often as need be.

        Raises:
            IvschatError: it failed.
        """
        region = await self._known_region()
        if self._settings.rules is not None:
            validate(operation.input, params, self._settings.rules)
        built = requests.build(operation, params)
        target = _target(
            options.endpoint_of(
                self._settings.endpoint,
                region,
                ssl_enabled=self._settings.ssl_enabled,
                kind=self._settings.kind,
                service=self._settings.service,
            ),
            built,
        )
        retries = redirects = 0
        while True:
            try:
                answer = await self._attempt(built, target, region if signed else None)
                members = answers.body_of(answer)
            except IvschatError as error:
                error.retry_count = retries
                if error.code in answers.EXPIRED:
                    self._credentials.expire()
                if error.location is not None:
                    if redirects >= self._settings.max_redirects:
                        raise
                    target, redirects = _led(target, error, error.location), redirects + 1
                    continue
                await self._wait(error, retries)
                retries += 1
                continue
            convert = self._settings.convert_response_types
            found = _result(operation, members, answer, convert=convert)
            return Response(
                found,
                answer.status,
                answer.request_id,
                answer.headers,
                retries,
                redirects,
            )

    async def _known_region(self) -> str:
        if self._region is None:
            self._region = await asyncio.to_thread(region_of_profile)
        return options.checked_region(self._region)

    async def _wait(self, error: IvschatError, retries: int) -> None:
        """Wait before the next attempt; raise the error when there is none."""
        if not error.retryable or retries >= self._settings.max_retries:
            raise error
        chosen = self._settings.retry_delay
        if chosen.custom_backoff is not None:
            error.retry_delay = chosen.custom_backoff(retries, error) or 0
        else:
            spread = random.random()  # noqa: S311 - spreads clients, protects nothing
            error.retry_delay = spread * 2.0**retries * chosen.base
        if error.retry_delay < 0:
            raise error
        await asyncio.sleep(error.retry_delay / 1000)

    async def _attempt(self, built: Built, target: _Target, region: str | None) -> Answer:
        """Send a request once, signed for a region if there is one."""
        headers = {"host": target.host}
        if built.body:
            headers["content-type"] = "application/json"
        if region is not None:
            headers |= await self._signature(built, target, region, headers)
        headers["user-agent"] = USER_AGENT
        answer = await self._exchange(built, target, headers)
        if answer.status >= 300:
            raise answers.error_of(answer, correct_clock_skew=self._settings.correct_clock_skew)
        return answer

    async def _signature(
        self, built: Built, target: _Target, region: str, headers: Mapping[str, str]
    ) -> dict[str, str]:
        keys = await self._credentials.get()
        return sign(
            Request(built.method, target.path, target.query, tuple(headers.items()), built.body),
            keys.access_key_id,
            keys.secret_access_key,
            region,
            self._settings.service,
            self._now() / 1000,
            keys.session_token,
        )

    async def _exchange(self, built: Built, target: _Target, headers: dict[str, str]) -> Answer:
        http = self._settings.http
        try:
            async with self._open_session().request(
                built.method,
                URL(target.url, encoded=True),
                data=built.body or None,
                headers=headers,
                skip_auto_headers=("Content-Type",),
                allow_redirects=False,
                proxy=http.proxy,
                ssl=http.ssl,
            ) as answer:
                received = {name.lower(): value for name, value in answer.headers.items()}
                self._look_at_clock(received.get("date"))
                return Answer(answer.status, answer.reason or "", received, await _body(answer))
        except (aiohttp.ClientError, OSError) as error:
            raise self._failure(error, target) from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            http = self._settings.http
            idle = http.timeout / 1000 or None
            connecting = http.connect_timeout / 1000 if http.connect_timeout else idle
            self._session = aiohttp.ClientSession(
                connector=http.connector,
                connector_owner=http.connector is None,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(connect=connecting, sock_read=idle),
                trust_env=http.proxy is None,
            )
        return self._session

    def _failure(self, error: Exception, target: _Target) -> NetworkingError:
        """Return what it means that no answer came; all of it may pass."""
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            text = "Socket timed out without establishing a connection"
            return TimeoutExceeded("TimeoutError", text, retryable=True)
        if isinstance(error, TimeoutError):
            text = f"Connection timed out after {self._settings.http.timeout:g}ms"
            return TimeoutExceeded("TimeoutError", text, retryable=True)
        if isinstance(error, aiohttp.ServerDisconnectedError) or _was_reset(error):
            return TimeoutExceeded("TimeoutError", "socket hang up", retryable=True)
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            text = f"Inaccessible host: `{error.host}' at port `{error.port}'."
            text += " This service may not be available in the"
            return NetworkingError(
                "UnknownEndpoint", f"{text} `{self._region}' region.", retryable=True
            )
        text = f"no answer from {target.host}: {type(error).__name__}"
        return NetworkingError("NetworkingError", text, retryable=True)

    def _now(self) -> float:
        """Return the time to sign with, in milliseconds."""
        return time.time() * 1000 + self.clock_offset

    def _look_at_clock(self, date: str | None) -> None:
        """Take the service's time for the right one, if that was asked for and it is far off."""
        if date is None or not self._settings.correct_clock_skew:
            return
        try:
            there = parsedate_to_datetime(date).timestamp() * 1000
        except ValueError:
            return
        if abs(self._now() - there) >= SKEWED_MILLISECONDS:
            self.clock_offset = there - time.time() * 1000


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > LONGEST_ANSWER_BYTES:
            text = f"the answer is longer than {LONGEST_ANSWER_BYTES} bytes"
            raise IvschatError("UnknownError", text, status_code=answer.status)
    return bytes(body)


def _was_reset(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _RESET


def _target(endpoint: Endpoint, built: Built) -> _Target:
    return _Target(endpoint.scheme, endpoint.host, endpoint.path + built.path, built.query)


def _led(target: _Target, error: IvschatError, location: str) -> _Target:
    """Return where a redirect leads.

    From TLS none leads to where there is none: the request may hold a session's token.
    """
    url, _, query = urljoin(target.url, location).partition("?")
    endpoint = options.parsed_endpoint(url)
    if target.scheme == "https" and endpoint.scheme != "https":
        raise error
    return _Target(endpoint.scheme, endpoint.host, URL(url, encoded=True).raw_path, query)


def _result(
    operation: Operation, members: dict[str, object], answer: Answer, *, convert: bool
) -> object:
    try:
        return results.result_of(operation.name, members, convert=convert)
    except msgspec.ValidationError as error:
        raise IvschatError(
            "UnknownError",
            f"the answer is not as the model says: {error}",
            status_code=answer.status,
            request_id=answer.request_id,
        ) from None
