"""The way out to AWS, or to what speaks its protocols: botocore's clients, called in threads.

- The event loop never waits for a call: each runs in a thread, of which there is a bounded number,
  and so does the first import of botocore's sessions, which is slow.
- Credentials are those of botocore's usual chain: variables, files, containers, instance roles.
- A call ends: connecting takes 3 seconds at most, an answer 20, and there are three attempts. The
  end of the process waits for none of them.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any, TypeVar

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

    @property
    def setting(self) -> str:
        """Return the name of the setting that holds the service's endpoint."""
        return f"{self.value}_endpoint"


class AwsAccess:
    """Calls services; `endpoints` holds the URLs that differ from AWS's. Safe to use concurrently.

    `own_key_id` is the access key of this service itself, which its users put where AWS's tools
    look: to AWS it is nobody's. Everything that is raised by a call comes from botocore, unchanged.
    """

    def __init__(
        self,
        endpoints: Mapping[Service, str],
        own_key_id: str | None = None,
        *,
        read_seconds: float = READ_SECONDS,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._endpoints = dict(endpoints)
        self._own_key_id = own_key_id
        self._read_seconds = read_seconds
        self._attempts = attempts
        self._turns = asyncio.Semaphore(THREADS)
        self._session: Any = None
        self._clients: dict[tuple[Service, str], Any] = {}
        self._lock = threading.Lock()

    async def run(self, function: Callable[[], T]) -> T:
        """Return what the function returns, which runs in a thread.

        Whoever is cancelled meanwhile leaves the thread to its end.
        """
        await self._turns.acquire()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            result = error = None
            try:
                result = function()
            except BaseException as raised:  # noqa: BLE001 - raised again where it is awaited
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(self._done, outcome, result, error)

        # A thread of its own that the end of the process does not wait for, as it does for pools':
        # starting one takes a tenth of what a call does.
        try:
            threading.Thread(target=work, name="aws", daemon=True).start()
        except RuntimeError:  # the system has no thread to give
            self._turns.release()
            raise
        return await outcome

    async def call(
        self, service: Service, region: str, operation: str, **parameters: object
    ) -> Answer:
        """Return the answer of an operation, such as `put_object`."""
        return await self.run(lambda: self.call_here(service, region, operation, **parameters))

    def call_here(
        self, service: Service, region: str, operation: str, **parameters: object
    ) -> Answer:
        """Do the same in the caller's thread, which must not be the event loop's."""
        answer: Answer = getattr(self._client(service, region), operation)(**parameters)
        return answer

    def has_endpoint(self, service: Service) -> bool:
        """Return whether the service has an endpoint of its own."""
        return service in self._endpoints

    async def has_credentials(self) -> bool:
        """Return whether the chain finds credentials that may be AWS's; asking takes seconds."""
        return await self.run(self._has_credentials)

    async def close(self) -> None:
        """Close the connections that are not in use; a call that is under way is left alone."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _done(
        self, outcome: "asyncio.Future[Any]", result: object, error: BaseException | None
    ) -> None:
        self._turns.release()
        if outcome.cancelled():
            return
        if error is None:
            outcome.set_result(result)
        else:
            outcome.set_exception(error)

    def _has_credentials(self) -> bool:
        with self._lock:
            found = self._opened().get_credentials()
            return found is not None and found.access_key != self._own_key_id

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
