"""The shared store: a PostgreSQL database, for any number of nodes.

- **Durability.** An answered write is in the server's log on its disk, and on that of each standby
  that the server waits for (`synchronous_standby_names`).
- **Order, bounds, failures**: see `database`, through which every call goes.
- **Between nodes.** Each call is one transaction, and what it relies on is held until it is kept:
  the row of the region for rooms, configurations and tags; see `identities`, `token_uses` and
  `journal`. Who does what alone holds a lease: see `leases`.
- **Opening**: see `opening` for what is refused, and `upgrading` for the schema.
"""

from typing import Self

from greenroom.storage.identities import IdentityStore
from greenroom.storage.leases import LEASE_SECONDS
from greenroom.storage.postgres import opening
from greenroom.storage.postgres.database import Bounds, Database, Statistics
from greenroom.storage.postgres.held_messages import PostgresHeldMessages
from greenroom.storage.postgres.history import PostgresHistory
from greenroom.storage.postgres.identities import PostgresTransactions
from greenroom.storage.postgres.journal import PostgresJournal
from greenroom.storage.postgres.leases import PostgresLeases
from greenroom.storage.postgres.logging_configurations import PostgresLoggingConfigurations
from greenroom.storage.postgres.restrictions import PostgresRestrictions
from greenroom.storage.postgres.rooms import PostgresRooms
from greenroom.storage.postgres.secrets import PostgresSecrets
from greenroom.storage.postgres.sent_messages import PostgresSentMessages
from greenroom.storage.postgres.session import Connection, Password
from greenroom.storage.postgres.tags import PostgresTags
from greenroom.storage.postgres.token_uses import PostgresTokenUses

_BOUNDS = Bounds()


class PostgresStore:
    """A `Store` in a database; made by `open`."""

    def __init__(self, database: Database, lease_seconds: float = LEASE_SECONDS) -> None:
        self._database = database
        self.rooms = PostgresRooms(database)
        self.logging_configurations = PostgresLoggingConfigurations(database)
        self.tags = PostgresTags(database)
        self.token_uses = PostgresTokenUses(database)
        self.restrictions = PostgresRestrictions(database)
        self.sent_messages = PostgresSentMessages(database)
        self.held_messages = PostgresHeldMessages(database)
        self.history = PostgresHistory(database)
        self.secrets = PostgresSecrets(database)
        self.identities = IdentityStore(PostgresTransactions(database))
        self._leases = PostgresLeases(database.connect, lease_seconds)
        self.journal = PostgresJournal(database, self._leases)

    @classmethod
    async def open(cls, url: str, password: Password = None, bounds: Bounds = _BOUNDS) -> Self:
        """Open the database of the URL; one without our schema gets it.

        `password` is for a URL without one.

        Raises:
            StoreUnreachable: nobody answers, or who answers does not let us in.
            StoreUnwritable: it takes no writes, or the role may not do what is needed.
            StoreForeign: what answers, or what is there, cannot be used; it was not touched.
        """
        await opening.prepare(url, password, bounds.waits)
        return cls(Database(url, password, bounds), bounds.lease_seconds)

    @property
    def statistics(self) -> Statistics:
        """Return the counters of calls, commits, failures and refusals, and how many wait."""
        return self._database.statistics

    async def check_writable(self) -> None:
        await self._database.write("check", _write_nothing)

    async def close(self) -> None:
        await self._leases.close()
        await self._database.close()


async def _write_nothing(connection: Connection) -> None:
    """Leave it at what every transaction writes."""
