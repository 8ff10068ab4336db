"""A journal's queues, and what is appended to them."""

from collections.abc import Sequence

from greenroom.model.arn import Arn
from greenroom.model.log_record import Record
from greenroom.storage.base import Store
from greenroom.storage.journal import Backlog, Entry
from tests.stand_ins.values import NOW, configuration_arn, new_account, room_arn

PLENTY = 1_000_000
START = NOW * 1_000_000


class Queues:
    """A journal of one account, and what is appended to it."""

    def __init__(self, store: Store, configurations: int = 1) -> None:
        self.journal = store.journal
        account = new_account()
        self.room = room_arn(account)
        self.arns = tuple(configuration_arn(account) for _ in range(configurations))
        self.count = 0

    def entries(self, count: int, *arns: Arn) -> list[Entry]:
        """Return entries whose payload is their number, in four digits."""
        made = []
        for _ in range(count):
            self.count += 1
            payload = b"%04d" % self.count
            made.append(Entry(self.room, arns or self.arns, START + self.count, payload))
        return made

    async def append(self, count: int, *arns: Arn) -> None:
        await self.journal.append(self.entries(count, *arns))

    async def batch(self, maximum_size: int = PLENTY, queue: int = 0) -> list[Record]:
        return await self.journal.batch(self.arns[queue], maximum_size)

    async def backlog(self, queue: int = 0) -> Backlog:
        return (await self.journal.backlogs()).get(self.arns[queue], Backlog())


def numbers(records: Sequence[Record]) -> list[int]:
    """Return what the payloads say."""
    return [int(record.payload) for record in records]
