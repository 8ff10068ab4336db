"""What requests are signed with: what was given, what a provider gives, or botocore's usual chain.

That chain is the environment, the shared files and their profiles, and the metadata of containers
and machines. It may wait for a network, so it runs in a thread; botocore is imported when it does.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable

import msgspec

from greenroom.client.api.errors import CredentialsError

EXPIRY_WINDOW = timedelta(seconds=15)
"""So long before they expire, credentials are fetched anew."""


class Credentials(msgspec.Struct, frozen=True):
    """An access key; `repr` shows no secret."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    expiration: datetime | None = None
    """When a provider is asked again, with its time zone."""

    def __repr__(self) -> str:
        return f"Credentials(access_key_id={self.access_key_id!r})"

    def expired(self, now: datetime) -> bool:
        """Return whether they should be used no longer."""
        return self.expiration is not None and now >= self.expiration - EXPIRY_WINDOW


class _Frozen(Protocol):
    @property
    def access_key(self) -> str | None: ...
    @property
    def secret_key(self) -> str | None: ...
    @property
    def token(self) -> str | None: ...


@runtime_checkable
class BotocoreCredentials(Protocol):
    """What botocore's sessions give, which may refresh themselves."""

    def get_frozen_credentials(self) -> _Frozen:
        """Return what they are now."""
        ...


Provider = Callable[[], "Awaitable[Credentials] | Credentials"]


class Resolver:
    """Knows the credentials of one client."""

    def __init__(
        self, given: Credentials | BotocoreCredentials | None, provider: Provider | None
    ) -> None:
        self._given = given
        self._provider = provider
        self._provided: Credentials | None = None
        self._chain: BotocoreCredentials | None = None
        self._looking = asyncio.Lock()

    def expire(self) -> None:
        """Fetch them anew before the next request: the service says that they have expired."""
        self._provided = None
        self._chain = None

    async def get(self) -> Credentials:
        """Return what to sign with.

        Raises:
            CredentialsError: there is nothing.
        """
        if isinstance(self._given, Credentials):
            return self._given
        async with self._looking:
            known = self._provided
            if known is not None and not known.expired(datetime.now(UTC)):
                return known
            if self._given is None and self._provider is not None:
                self._provided = await _asked(self._provider)
                return self._provided
            found = await asyncio.to_thread(self._of_botocore)
        if found is None:
            raise CredentialsError("CredentialsError", "Missing credentials in config")
        return found

    def _of_botocore(self) -> Credentials | None:
        source = self._given if isinstance(self._given, BotocoreCredentials) else self._chain
        if source is None:
            source = self._chain = _chain()
        if source is None:
            return None
        frozen = source.get_frozen_credentials()
        if not frozen.access_key or not frozen.secret_key:
            return None
        found = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        if not hasattr(source, "refresh_needed"):  # they stay as they are
            self._provided = found
        return found


async def _asked(provider: Provider) -> Credentials:
    try:
        given = provider()
        return await given if inspect.isawaitable(given) else given
    except Exception as error:
        raise CredentialsError(
            "CredentialsError", f"the provider failed: {type(error).__name__}"
        ) from error


def _chain() -> BotocoreCredentials | None:
    from botocore.session import Session

    found: BotocoreCredentials | None = Session().get_credentials()
    return found


def region_of_profile() -> str | None:
    """Return the region of the profile in use; reads files."""
    from botocore.session import Session

    region: str | None = Session().get_config_variable("region")
    return region
