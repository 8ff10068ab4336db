"""One measurement: connect the clients, send the messages, wait for what is still to come."""

import asyncio
import gc
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec

from greenroom.cli.access import CommandRefused
from greenroom.cli.api import Api
from greenroom.cli.bench.clients import OPENED, Client
from greenroom.cli.bench.ledger import Ledger, lost
from greenroom.cli.bench.plan import Plan
from greenroom.cli.bench.result import Connections, Deliveries, Messages, Result
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.progress import Progress
from greenroom.model.chat_token import Capability
from greenroom.protocol.actions import SendMessage

TOKENS_AT_ONCE = 512
"""Tokens created before their connections are made: each is good for a minute."""

QUIET_SECONDS = 3.0
"""How long nothing may come, while something is missing, before it counts as lost."""

_TOKEN_THREADS = 4
_HANDSHAKES = 64
_ANSWER_SECONDS = 15
_SESSION_MINUTES = 180
_POLL_SECONDS = 0.05
_GOODBYE_POLLS = 40


class Measurement:
    """A measurement under way; `stop` ends it early, with the result so far."""

    def __init__(self, plan: Plan, api: Api, progress: Progress) -> None:
        self._plan = plan
        self._api = api
        self._address = api.peer()
        self._progress = progress
        self._run_id = secrets.token_hex(4)
        self._ledger = Ledger(self._run_id)
        self._clients: list[Client] = []
        self._publishers: list[Client] = []
        self._refused: Counter[str] = Counter()
        self._connecting = self._sending = self._cpu = 0.0
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End early."""
        self._stopped.set()

    async def run(self) -> Result:
        """Measure.

        Raises:
            CommandRefused: the service refuses tokens, or all connections.
        """
        try:
            await self._connect()
            if not self._clients and not self._stopped.is_set():
                raise CommandRefused(
                    f"no connection was opened: {_listed(self._refused)}", ExitCode.NOT_EXACT
                )
            # The clients live to the end: looking at them again would delay what arrives.
            gc.collect()
            gc.freeze()
            began, cpu = time.monotonic(), time.process_time()
            await self._send()
            await self._settle()
            self._cpu = (time.process_time() - cpu) / (time.monotonic() - began or 1.0)
            return self._result()
        finally:
            await self._leave()

    # Connecting

    async def _connect(self) -> None:
        plan = self._plan
        pool = ThreadPoolExecutor(_TOKEN_THREADS)
        try:
            with self._progress("Connecting", plan.connections) as advance:
                for first in range(0, plan.connections, TOKENS_AT_ONCE):
                    if self._stopped.is_set():
                        return
                    numbers = range(first, min(first + TOKENS_AT_ONCE, plan.connections))
                    await self._connect_some(pool, numbers, advance)
        finally:
            pool.shutdown(cancel_futures=True)

    async def _connect_some(
        self, pool: ThreadPoolExecutor, numbers: Iterable[int], advance: Callable[[int], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        creating = [loop.run_in_executor(pool, self._token, number) for number in numbers]
        tokens = iter(list(zip(numbers, await asyncio.gather(*creating), strict=True)))
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_HANDSHAKES):
                tasks.create_task(self._open_each(tokens, advance))
        self._connecting += time.monotonic() - began

    def _token(self, number: int) -> str:
        publishes = number < self._plan.publishers
        answer = self._api.call(
            "CreateChatToken",
            roomIdentifier=self._plan.room,
            userId=f"greenroom-bench-{self._run_id}-{number}",
            capabilities=[Capability.SEND_MESSAGE] if publishes else [],
            sessionDurationInMinutes=_SESSION_MINUTES,
        )
        return str(answer["token"])

    async def _open_each(
        self, tokens: Iterable[tuple[int, str]], advance: Callable[[int], None]
    ) -> None:
        for number, token in tokens:
            if self._stopped.is_set():
                return
            client, answer = await self._open(token)
            if answer == OPENED:
                self._clients.append(client)
                if number < self._plan.publishers:
                    self._publishers.append(client)
            else:
                client.abort()
                self._refused[answer] += 1
            advance(1)

    async def _open(self, token: str) -> tuple[Client, str]:
        """Return a client and what became of its connection."""
        loop = asyncio.get_running_loop()
        endpoint, (host, port) = self._api.endpoint, self._address
        answer: asyncio.Future[str] = loop.create_future()
        client = Client(self._ledger, endpoint.authority, token, answer, f"{endpoint.path}/")
        name = endpoint.host if endpoint.secure else None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await loop.create_connection(
                    lambda: client, host, port, ssl=self._api.tls, server_hostname=name
                )
                return client, await answer
        except TimeoutError:
            return client, "no answer"
        except OSError as error:
            return client, error.strerror or type(error).__name__

    # Sending

    async def _send(self) -> None:
        plan, publishers = self._plan, self._publishers
        began = time.monotonic()
        with self._progress("Sending", plan.messages) as advance:
            for number in range(plan.messages if publishers else 0):
                await self._wait_until(began + number / plan.rate)
                if self._stopped.is_set() or not any(client.is_open for client in publishers):
                    break
                index = number % len(publishers)
                if publishers[index].is_open:
                    request_id = self._ledger.send(index, time.monotonic_ns())
                    action = SendMessage(plan.content, None, request_id)
                    publishers[index].send(msgspec.json.encode(action))
                advance(1)
        self._sending = max(time.monotonic() - began, self._ledger.sent / plan.rate)

    async def _wait_until(self, due: float) -> None:
        wait = due - time.monotonic()
        if wait > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopped.wait()

    async def _settle(self) -> None:
        """Wait until everybody has everything, or nothing comes any more."""
        ledger, came, since = self._ledger, -1, time.monotonic()
        while self._open_lack() and time.monotonic() - since < QUIET_SECONDS:
            now_came = ledger.received + ledger.refused.total()
            if now_came != came:
                came, since = now_came, time.monotonic()
            await asyncio.sleep(_POLL_SECONDS)

    def _open_lack(self) -> int:
        return lost(self._ledger.accepted, (each.sight for each in self._clients if each.is_open))

    async def _leave(self) -> None:
        for client in self._clients:
            client.close()
        for _ in range(_GOODBYE_POLLS):
            if not any(client.transport for client in self._clients):
                break
            await asyncio.sleep(_POLL_SECONDS)
        for client in self._clients:
            client.abort()

    # The result

    def _result(self) -> Result:
        plan, ledger, clients = self._plan, self._ledger, self._clients
        missing = lost(ledger.accepted, (client.sight for client in clients))
        receiving = max(self._sending, (ledger.last_received - ledger.first_sent) / 1e9)
        return Result(
            endpoint=self._api.endpoint.url,
            room=plan.room,
            seconds=round(receiving, 3),
            interrupted=self._stopped.is_set(),
            connections=Connections(
                asked=plan.connections,
                opened=len(clients),
                lost=sum(not client.is_open for client in clients),
                per_second=_rate(len(clients), self._connecting),
                refused=dict(self._refused),
            ),
            messages=Messages(
                asked=plan.messages,
                sent=ledger.sent,
                publishers=len(self._publishers),
                per_second=_rate(ledger.sent, self._sending),
                refused=dict(ledger.refused),
            ),
            deliveries=Deliveries(
                expected=ledger.accepted * len(clients),
                received=ledger.received,
                per_second=_rate(ledger.received, receiving),
                lost=missing,
                repeated=ledger.repeated,
                reordered=ledger.reordered,
            ),
            latency_ms=ledger.latencies.summary(),
            client_cpu=round(self._cpu, 3),
        )


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds else 0.0


def _listed(refused: Counter[str]) -> str:
    return ", ".join(f"{why} x {count:,}" for why, count in refused.most_common())
