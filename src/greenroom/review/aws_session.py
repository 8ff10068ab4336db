"""Credentials and endpoints at hand: a message waits for neither, once they were found.

- Credentials are asked for again in the background after `FRESH_SECONDS`; those that are older than
  `STALE_SECONDS` are not used. botocore renews temporary ones 10 to 15 minutes before their end.
- Asking that fails, for a moment perhaps, takes nothing away before: what was found is used on.
- That there are none is remembered for `FRESH_SECONDS`, too.
"""

import asyncio

import structlog
from botocore.exceptions import BotoCoreError

from greenroom.aws_access.clients import AwsAccess, Credentials, Service
from greenroom.clock import Clock

FRESH_SECONDS = 30.0
STALE_SECONDS = 300.0

MAXIMUM_REGIONS = 64
"""Regions whose endpoints are remembered."""

log = structlog.get_logger()


class AwsSession:
    """What the access to AWS knows, for one service."""

    def __init__(self, clock: Clock, access: AwsAccess, service: Service) -> None:
        self._clock = clock
        self._access = access
        self._service = service
        self._credentials: Credentials | None = None
        self._asked: float | None = None
        # When the chain last said what there is, or was known to say nothing.
        self._known: float | None = None
        self._asking: asyncio.Task[None] | None = None
        self._refused = False
        self._endpoints: dict[str, str] = {}

    async def credentials(self) -> Credentials | None:
        """Return the credentials, or None when there are none."""
        if self._is_older(self._asked, FRESH_SECONDS):
            asking = self._ask()
            if self._asked is None or self._is_older(self._known, STALE_SECONDS):
                await asyncio.shield(asking)
        return self._credentials

    @property
    def found_own_key(self) -> bool:
        """Whether there are none because those that were found are this service's own."""
        return self._access.found_own_key

    def distrust(self) -> None:
        """Ask for the credentials again before the next use: they were refused."""
        self._asked = self._known = None
        self._refused = True

    async def endpoint(self, region: str) -> str:
        """Return the URL of the service in a region, without a slash at the end.

        Raises:
            BotoCoreError: botocore knows none.
        """
        known = self._endpoints.get(region)
        if known is None:
            known = await self._access.endpoint(self._service, region)
            if len(self._endpoints) >= MAXIMUM_REGIONS:
                del self._endpoints[next(iter(self._endpoints))]
            self._endpoints[region] = known
        return known

    def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    def _is_older(self, time: float | None, seconds: float) -> bool:
        return time is None or self._clock.monotonic() - time > seconds

    def _ask(self) -> "asyncio.Task[None]":
        if self._asking is None:
            self._asking = asyncio.create_task(self._resolve())
        return self._asking

    async def _resolve(self) -> None:
        """Ask the chain: environment, files, container, instance, and what those name."""
        refused, self._refused = self._refused, False
        try:
            self._credentials = await self._access.credentials(self._service, anew=refused)
            self._known = self._clock.monotonic()
        except (BotoCoreError, OSError, ValueError, RuntimeError) as error:
            log.warning("no AWS credentials", service=self._service, error=type(error).__name__)
            if self._is_older(self._known, STALE_SECONDS):
                self._credentials, self._known = None, self._clock.monotonic()
        finally:
            self._asking = None
        self._asked = self._clock.monotonic()
