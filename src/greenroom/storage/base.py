"""The durable store: its ports by noun, and what every adapter of each of them guarantees.

Who needs one noun takes that port, not the store.

- **Durability.** When a writing call returns, its effect survives the death of the process at any
  later instant. When it raises, nothing of it is kept.
- **Atomicity.** Each call is one transaction: a quota is counted and the row inserted, a
  configuration is found unused and deleted, with nothing in between.
- **Order.** Writing calls take effect in the order in which they are made, also when nobody waits
  in between: those on rooms, configurations and tags of one account and region, those on
  identities, on token uses, on secrets. A store of one process has one order for all of them; in
  one that nodes share, others go on while one waits. A reading call sees every write that was
  answered before it was made, by whichever node; one that is still under way it may see or not.
- **Isolation.** Nothing of another account or region is ever returned or changed: resources are
  named by their whole ARN, lists by account and region.
- **Units.** `now` arguments are milliseconds since the epoch; a `quota` of 0 is no limit.

Errors: the `ServiceError`s that each method names; `StorageUnavailable` when the store cannot
answer (disk full, queue full, closed).
"""

from typing import Protocol

from greenroom.model.errors import ServiceUnavailableException
from greenroom.process.start_refused import StartRefused
from greenroom.storage.held_messages import HeldMessages
from greenroom.storage.history import History
from greenroom.storage.identities import IdentityStore
from greenroom.storage.journal import Journal
from greenroom.storage.logging_configurations import LoggingConfigurations
from greenroom.storage.restrictions import Restrictions
from greenroom.storage.rooms import Rooms
from greenroom.storage.secrets import Secrets
from greenroom.storage.sent_messages import SentMessages
from greenroom.storage.tags import Tags
from greenroom.storage.token_uses import TokenUses


class StorageUnavailable(ServiceUnavailableException):
    """The store cannot answer now; nothing was kept."""

    @property
    def code(self) -> str:
        return "ServiceUnavailableException"


class StoreRefused(StartRefused):
    """The store cannot be opened: the message is one clear line for the operator."""


class StoreInUse(StoreRefused):
    """Another process has the store open."""


class StoreUnwritable(StoreRefused):
    """The place of the store cannot be written."""


class StoreForeign(StoreRefused):
    """What is there is damaged, not ours, or of a newer version. It was not touched."""


class StoreUnreachable(StoreRefused):
    """The server of the store does not answer, or does not let us in."""


class Store(Protocol):
    """What the service keeps, in one place: opened, checked and closed together."""

    @property
    def rooms(self) -> Rooms:
        """Return the rooms."""

    @property
    def logging_configurations(self) -> LoggingConfigurations:
        """Return the logging configurations."""

    @property
    def tags(self) -> Tags:
        """Return the tags of both."""

    @property
    def token_uses(self) -> TokenUses:
        """Return the chat tokens that were used."""

    @property
    def secrets(self) -> Secrets:
        """Return the service's own secrets."""

    @property
    def restrictions(self) -> Restrictions:
        """Return what users may not do, and notes on them."""

    @property
    def sent_messages(self) -> SentMessages:
        """Return the messages that were sent over HTTP."""

    @property
    def held_messages(self) -> HeldMessages:
        """Return the messages that wait until viewers may see them."""

    @property
    def history(self) -> History:
        """Return what rooms have shown that keep it."""

    @property
    def identities(self) -> IdentityStore:
        """Return users, roles, access keys and policies."""

    @property
    def journal(self) -> Journal:
        """Return the journal of chat logging."""

    async def check_writable(self) -> None:
        """Write something that changes nothing, as durably as all else.

        Raises:
            StorageUnavailable: no write can be kept now.
        """

    async def close(self) -> None:
        """Finish what was accepted and close. Later calls raise StorageUnavailable."""
