"""AWS credentials and endpoints of the process, found by botocore's usual chains in a thread.

- Credentials are asked for again in the background after `FRESH_SECONDS`; those that are older than
  `STALE_SECONDS` are not used. botocore renews temporary ones 10 to 15 minutes before their end.
- That there are none is remembered for `FRESH_SECONDS`, too.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import botocore.session
import msgspec
import structlog
from botocore.exceptions import BotoCoreError

from greenroom.clock import Clock

FRESH_SECONDS = 30.0
STALE_SECONDS = 300.0

MAXIMUM_REGIONS = 64
"""Regions whose endpoints are remembered."""

T = TypeVar("T")

log = structlog.get_logger()


class Credentials(msgspec.Struct, frozen=True):
    """What requests are signed with."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


class AwsSession:
    """What botocore knows, asked in one thread of its own."""

    def __init__(self, clock: Clock, service: str, endpoint: str | None = None) -> None:
        self._clock = clock
        self._service = service
        self._endpoint = endpoint
        self._thread = ThreadPoolExecutor(1, f"aws-{service}")
        self._session: botocore.session.Session | None = None
        self._credentials: Credentials | None = None
        self._asked: float | None = None
        self._asking: asyncio.Future[Credentials | None] | None = None
        self._endpoints: dict[str, asyncio.Future[str]] = {}

    async def credentials(self) -> Credentials | None:
        """Return the credentials, or None when there are none."""
        age = self._age()
        if age is None or age > FRESH_SECONDS:
            asking = self._ask()
            if age is None or age > STALE_SECONDS:
                return await asyncio.shield(asking)
        return self._credentials

    def distrust(self) -> None:
        """Ask for the credentials again before the next use: they were refused."""
        self._asked = None
        self._session = None

    async def endpoint(self, region: str) -> str:
        """Return the URL of the service in a region, without a slash at the end.

        Raises:
            BotoCoreError: botocore knows none.
        """
        if self._endpoint is not None:
            return self._endpoint
        finding = self._endpoints.get(region)
        if finding is None or (finding.done() and finding.exception() is not None):
            if len(self._endpoints) >= MAXIMUM_REGIONS:
                del self._endpoints[next(iter(self._endpoints))]
            finding = self._endpoints[region] = self._in_thread(lambda: self._find(region))
        return await asyncio.shield(finding)

    def close(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _age(self) -> float | None:
        return None if self._asked is None else self._clock.monotonic() - self._asked

    def _ask(self) -> asyncio.Future[Credentials | None]:
        if self._asking is None:
            self._asking = self._in_thread(self._resolve)
            self._asking.add_done_callback(self._keep)
        return self._asking

    def _keep(self, asking: asyncio.Future[Credentials | None]) -> None:
        self._asking = None
        if not asking.cancelled():
            self._credentials = None if asking.exception() else asking.result()
            self._asked = self._clock.monotonic()

    def _resolve(self) -> Credentials | None:
        """Ask the chain: environment, files, container, instance, and what those name."""
        try:
            if self._session is None:
                self._session = botocore.session.Session()
            found = self._session.get_credentials()
            if found is None:
                return None
            frozen = found.get_frozen_credentials()
        except (BotoCoreError, OSError, ValueError) as error:
            log.warning("no AWS credentials", service=self._service, error=type(error).__name__)
            return None
        if not frozen.access_key or not frozen.secret_key:
            return None
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    def _find(self, region: str) -> str:
        client = botocore.session.Session().create_client(
            self._service,
            region_name=region,
            # Not used: without them the client would go and look for some.
            aws_access_key_id="unused",
            aws_secret_access_key="unused",  # noqa: S106 - guards nothing
        )
        url = str(client.meta.endpoint_url)
        client.close()
        return url.rstrip("/")

    def _in_thread(self, call: Callable[[], T]) -> asyncio.Future[T]:
        future = asyncio.get_running_loop().run_in_executor(self._thread, call)
        future.add_done_callback(_look)
        return future


def _look(future: asyncio.Future[T]) -> None:
    """Look at the error, if any: whoever waited may have given up."""
    if not future.cancelled():
        future.exception()
