"""Which accounts are suspended, known to every node without a trip to the store.

A suspended account changes and publishes nothing ("to block the resource usage for accounts
identified as being fraudulent": the changes of the ivschat API): mutating operations and messages
are refused, also on connections that are open; reading and listening go on.
"""

import structlog

from greenroom.bus.base import AccountSuspended, Control
from greenroom.clock import Clock
from greenroom.model.errors import PendingVerification
from greenroom.storage.identities import IdentityStore

log = structlog.get_logger()

PENDING = "The account is pending verification."


class Accounts:
    """The suspended accounts: those of the store at `refresh`, and what the bus said since."""

    def __init__(self, store: IdentityStore, control: Control, clock: Clock) -> None:
        self._store = store
        self._control = control
        self._clock = clock
        self._suspended: frozenset[str] = frozenset()
        self._heard = 0
        control.on(AccountSuspended, self._hear)

    def check(self, account: str) -> None:
        """Return when the account is not suspended.

        Raises:
            PendingVerification: it is.
        """
        if account in self._suspended:
            raise PendingVerification(PENDING)

    def is_suspended(self, account: str) -> bool:
        """Return whether the account is suspended, as far as this node knows."""
        return account in self._suspended

    async def suspend(self, account: str) -> None:
        """Suspend an account, on every node."""
        await self._store.suspend(account, self._clock.now_ms())
        self._control.broadcast(AccountSuspended(account, True))

    async def resume(self, account: str) -> None:
        """End an account's suspension, on every node."""
        await self._store.resume(account)
        self._control.broadcast(AccountSuspended(account, False))

    async def refresh(self) -> None:
        """Read the store: at start, and now and then, because the bus may lose an envelope."""
        heard = self._heard
        suspended = await self._store.suspended_accounts()
        if heard == self._heard:
            self._suspended = suspended

    def _hear(self, envelope: AccountSuspended) -> None:
        self._heard += 1
        if envelope.suspended is not self.is_suspended(envelope.account):
            event = "account suspended" if envelope.suspended else "account resumed"
            log.warning(event, account=envelope.account)
        one = frozenset((envelope.account,))
        self._suspended = self._suspended | one if envelope.suspended else self._suspended - one
