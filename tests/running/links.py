"""Links that a test can cut, reset or slow down: each a port that leads to a server's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

from scripts.servers.ports import free_port

READ_BYTES = 65_536


class Link:
    """A port of loopback whose connections lead to another port of it.

    With several they lead to the first one that takes them, as behind a load balancer; with `turns`
    each new connection begins with the next one.
    """

    def __init__(self, *leads_to: int, turns: bool = False) -> None:
        self.port = free_port()
        self._leads_to = leads_to
        self._turns = turns
        self._delay = 0.0
        self._refuses = False
        self._flows = asyncio.Event()
        self._flows.set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Carry nothing: neither side hears of it. What is sent meanwhile arrives after `mend`."""
        self._flows.clear()

    def reset(self) -> None:
        """End all connections, and each new one at once."""
        self._refuses = True
        self._end_all()

    def slow(self, seconds: float) -> None:
        """Carry everything so much later."""
        self._delay = seconds

    def mend(self) -> None:
        """Carry everything at once again."""
        self._delay, self._refuses = 0.0, False
        self._flows.set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Link"]:
        """Listen for the length of a `with` block."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            server.close()
            for each in self._carrying:
                each.cancel()
            await asyncio.gather(*self._carrying, return_exceptions=True)
            self._end_all()

    def _end_all(self) -> None:
        for each in self._ends:
            each.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._connect(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        try:
            await self._flows.wait()
            further_reader, further = await self._further()
        except OSError:
            writer.transport.abort()
            self._ends.discard(writer)
            return
        self._ends.add(further)
        try:
            await asyncio.gather(self._carry(reader, further), self._carry(further_reader, writer))
        finally:
            for each in (writer, further):
                each.close()
                self._ends.discard(each)

    async def _further(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._turns:
            self._leads_to = (*self._leads_to[1:], self._leads_to[0])
        *others, last = self._leads_to
        for port in others:
            with contextlib.suppress(ConnectionRefusedError):
                return await asyncio.open_connection("127.0.0.1", port)
        return await asyncio.open_connection("127.0.0.1", last)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(READ_BYTES):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            writer.transport.abort()
        else:
            writer.close()


@contextlib.asynccontextmanager
async def links(ports: Iterable[int]) -> AsyncIterator[list[Link]]:
    """Open a link to each of some ports for the length of a `with` block."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Link(port).open()) for port in ports]
