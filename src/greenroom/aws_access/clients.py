"""The way out to AWS, or to what speaks its protocols: botocore's clients, called in threads.

- The event loop never waits for a call: each runs in a thread, of which there is a bounded number,
  and so does the first import of botocore's sessions, which is slow.
- Credentials are those of botocore's usual chain: variables, files, containers, instance roles.
- Where credentials were refused, they are looked for anew before the next call: somebody may have
  exchanged them.
- A call ends: connecting takes 3 seconds at most, an answer 20, and there are three attempts. The
  end of the process waits for none of them.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from greenroom.aws_access.environment import endpoint_variable

CREDENTIALS_REFUSED = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId"),
        *("InvalidSignatureException", "InvalidToken", "SignatureDoesNotMatch"),
        *("UnrecognizedClient", "UnrecognizedClientException"),
    }
)
"""The errors that say that credentials are not valid, or no longer."""

THREADS = 32
"""Calls under way at a time; more wait their turn."""

CONNECT_SECONDS = 3
READ_SECONDS = 20
ATTEMPTS = 3
MAXIMUM_CLIENTS = 64
"""Clients that are kept, one per service and region; past that, the oldest are made again."""

T = TypeVar("T")
Answer = Mapping[str, Any]


class Service(StrEnum):
    """What is called, by botocore's name."""

    S3 = "s3"
    LOGS = "logs"
    FIREHOSE = "firehose"
    CLOUDWATCH = "cloudwatch"
    LAMBDA = "lambda"

    @property
    def setting(self) -> str:
        """Return the name of the setting that holds the service's endpoint."""
        return f"{self.value}_endpoint"

    @property
    def id(self) -> str:
        """Return AWS's name for it, as variables have it: `AWS_ENDPOINT_URL_CLOUDWATCH_LOGS`."""
        return "CLOUDWATCH_LOGS" if self is Service.LOGS else self.name


class Credentials(msgspec.Struct, frozen=True):
    """What requests are signed with."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


class AwsAccess:
    """Calls services; `endpoints` holds the URLs that differ from AWS's. Safe to use concurrently.

    Everything that is raised by a call comes from botocore, unchanged.
    """

    def __init__(
        self,
        endpoints: Mapping[Service, str],
        *,
        read_seconds: float = READ_SECONDS,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._endpoints = dict(endpoints)
        self._own_key_id: str | None = None
        self.found_own_key = False
        """Whether the credentials that were found last are those of this service itself."""
        self._read_seconds = read_seconds
        self._attempts = attempts
        self._turns = asyncio.Semaphore(THREADS)
        self._session: Any = None
        self._clients: dict[tuple[Service, str], Any] = {}
        self._lock = threading.Lock()

    def disown(self, key_id: str) -> None:
        """Count a key as no credentials: that of this service itself, which is nobody's to AWS.

        Its users put it where AWS's tools look. Where a service has an endpoint of its own, that is
        perhaps an emulator, which takes any key: there it counts.
        """
        self._own_key_id = key_id

    async def run(self, function: Callable[[], T]) -> T:
        """Return what the function returns, which runs in a thread.

        Whoever is cancelled meanwhile leaves the thread to its end.
        """
        await self._turns.acquire()
        return await self._in_thread(function, self._turns.release)

    async def call(
        self, service: Service, region: str, operation: str, **parameters: object
    ) -> Answer:
        """Return the answer of an operation, such as `put_object`."""
        return await self.run(
            lambda: self.call_in_this_thread(service, region, operation, **parameters)
        )

    def call_in_this_thread(
        self, service: Service, region: str, operation: str, **parameters: object
    ) -> Answer:
        """Do the same in the caller's thread, which must not be the event loop's."""
        from botocore.exceptions import ClientError

        try:
            answer: Answer = getattr(self._client(service, region), operation)(**parameters)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in CREDENTIALS_REFUSED:
                self._forget()
            raise
        return answer

    def has_endpoint(self, service: Service) -> bool:
        """Return whether the service has an endpoint of its own."""
        return service in self._endpoints

    async def credentials(
        self, service: Service | None = None, *, anew: bool = False
    ) -> Credentials | None:
        """Return the credentials that the chain finds for a service.

        Those of this service itself count only where the other one has an endpoint of its own.
        Asking takes seconds, and waits for no other call. `anew` looks for them where they were
        found already: they were refused.
        """
        return await self._in_thread(lambda: self._credentials(service, anew=anew), _nothing)

    async def endpoint(self, service: Service, region: str) -> str:
        """Return the URL of a service in a region, without a slash at the end."""
        given = self._endpoints.get(service)
        if given is not None:
            return given.rstrip("/")
        client = await self._in_thread(lambda: self._client(service, region), _nothing)
        return str(client.meta.endpoint_url).rstrip("/")

    async def close(self) -> None:
        """Close the connections that are not in use; a call that is under way is left alone."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    async def _in_thread(self, function: Callable[[], T], ended: Callable[[], None]) -> T:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            result = error = None
            try:
                result = function()
            except BaseException as raised:  # noqa: BLE001 - raised again where it is awaited
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(_settle, outcome, result, error, ended)

        # A thread of its own that the end of the process does not wait for, as it does for pools':
        # starting one takes a tenth of what a call does.
        try:
            threading.Thread(target=work, name="aws", daemon=True).start()
        except RuntimeError:  # the system has no thread to give
            ended()
            raise
        return await outcome

    def _credentials(self, service: Service | None, *, anew: bool) -> Credentials | None:
        if anew:
            self._forget()
        with self._lock:
            found = self._opened().get_credentials()
        self.found_own_key = False
        if found is None:
            return None
        frozen = found.get_frozen_credentials()
        if not frozen.access_key or not frozen.secret_key:
            return None
        self.found_own_key = frozen.access_key == self._own_key_id
        if self.found_own_key and not self._is_elsewhere(service):
            return None
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    def _is_elsewhere(self, service: Service | None) -> bool:
        """Return whether somebody said that the service is not AWS's own."""
        if service is None or service in self._endpoints:
            return service is not None
        return endpoint_variable(os.environ, service.id) is not None

    def _forget(self) -> None:
        """Find credentials and make clients anew; the old ones may be in use."""
        with self._lock:
            self._session = None
            self._clients.clear()

    def _client(self, service: Service, region: str) -> Any:
        with self._lock:
            client = self._clients.pop((service, region), None)
            if client is None:
                client = self._made(service, region)
            self._clients[service, region] = client
            if len(self._clients) > MAXIMUM_CLIENTS:
                # Not closed: a call of another thread may be under way on it.
                del self._clients[next(iter(self._clients))]
            return client

    def _made(self, service: Service, region: str) -> Any:
        from botocore.config import Config

        endpoint = self._endpoints.get(service)
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=self._read_seconds,
            retries={"mode": "standard", "total_max_attempts": self._attempts},
            max_pool_connections=THREADS,
        )
        if endpoint is not None:
            # What speaks S3's protocol seldom has a host name per bucket, or AWS's new checksums.
            config = config.merge(
                Config(
                    s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
                )
            )
        return self._opened().create_client(
            service.value, region_name=region, endpoint_url=endpoint, config=config
        )

    def _opened(self) -> Any:
        if self._session is None:
            from botocore.session import Session

            self._session = Session()
        return self._session


def _settle(
    outcome: "asyncio.Future[Any]",
    result: object,
    error: BaseException | None,
    ended: Callable[[], None],
) -> None:
    ended()
    if outcome.cancelled():
        return
    if error is None:
        outcome.set_result(result)
    else:
        outcome.set_exception(error)


def _nothing() -> None:
    """Have no turn to give back."""
