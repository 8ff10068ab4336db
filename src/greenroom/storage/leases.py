"""Leases: of all nodes, one does what a name stands for.

- **One holder.** While a lease is held, nobody else gets the name.
- **Told in time.** `held` turns false before another can have the name, also on a node that was
  stopped and goes on, or that the store cannot reach. Only where the store ends the holder's
  session itself, because somebody told it to or because it died, another may be as fast as the
  news: so what is done under a lease is a compare-and-set, or harmless when it is done twice.
- **Kept by the living.** A holder that dies, or says nothing for `LEASE_SECONDS`, lets go.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Protocol

LEASE_SECONDS = 10.0
"""How long after its last sign of life a holder keeps what it holds."""


class Lease:
    """What `lease` found; `lost` is set when a lease that was held is so no longer."""

    def __init__(self, held: bool, alive: Callable[[], bool] = lambda: True) -> None:
        """Make a lease that is held while nobody calls `lose`, and `alive` says so."""
        self._held = held
        self._alive = alive
        self.lost = asyncio.Event()

    @property
    def held(self) -> bool:
        """Whether nobody else may do what the lease is for."""
        return self._held and self._alive()

    def lose(self) -> None:
        """Tell the holder."""
        self._held = False
        self.lost.set()

    async def run(self, work: Coroutine[None, None, None]) -> None:
        """Do the work; when the lease is lost first, cancel it and return."""
        working = asyncio.ensure_future(work)
        losing = asyncio.ensure_future(self.lost.wait())
        try:
            await asyncio.wait((working, losing), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            losing.cancel()
            working.cancel()
            await asyncio.gather(working, losing, return_exceptions=True)


class Leases(Protocol):
    """Hands out leases by name."""

    def lease(self, name: str) -> AbstractAsyncContextManager[Lease]:
        """Give a lease, which is held unless another holds the name; wait for nobody.

        It is given back at the end.

        Raises:
            StorageUnavailable: the store cannot be asked.
        """
