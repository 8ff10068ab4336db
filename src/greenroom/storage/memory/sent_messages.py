"""Messages that were sent over HTTP, in memory: in the order in which they are forgotten."""

from collections import OrderedDict

from greenroom.model.sent_message import SentMessage
from greenroom.storage.memory.opened import Opened


class MemorySentMessages:
    """`SentMessages` in a dictionary."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._kept: OrderedDict[str, SentMessage] = OrderedDict()

    async def claim(self, sent: SentMessage) -> SentMessage | None:
        self._opened.check()
        while self._kept and not next(iter(self._kept.values())).counts(sent.asked_at):
            self._kept.popitem(last=False)
        known = self._kept.get(sent.key)
        if known is not None and known.counts(sent.asked_at):
            return known
        self._kept[sent.key] = sent
        self._kept.move_to_end(sent.key)
        return None

    async def settle(self, sent: SentMessage) -> None:
        self._opened.check()
        if self._is_kept(sent):
            self._kept[sent.key] = sent

    async def release(self, sent: SentMessage) -> None:
        self._opened.check()
        if self._is_kept(sent):
            del self._kept[sent.key]

    def _is_kept(self, sent: SentMessage) -> bool:
        known = self._kept.get(sent.key)
        return known is not None and known.message_id == sent.message_id
