"""Restrictions in memory."""

from collections.abc import Iterator, Sequence

import msgspec

from greenroom.model.restriction import KEPT_MS, Restriction
from greenroom.storage import rules
from greenroom.storage.memory.opened import Opened


class _Kept(msgspec.Struct):
    """An entry, whether it is the latest of its key, and when it was over."""

    entry: Restriction
    latest: bool
    ends: int


class MemoryRestrictions:
    """`Restrictions` in lists, by account."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._kept: dict[str, list[_Kept]] = {}

    async def add(self, entry: Restriction, quota: int) -> Restriction:
        self._opened.check()
        kept = self._kept.setdefault(entry.account, [])
        same = [each for each in kept if each.latest and each.entry.key == entry.key]
        if entry.is_limited and not any(each.entry.is_limited for each in same):
            rules.check_restrictions(entry, self._number(entry), quota)
        entry = msgspec.structs.replace(entry, version=kept[-1].entry.version + 1 if kept else 1)
        for each in same:
            each.latest, each.ends = False, entry.at
        kept.append(_Kept(entry, entry.replaces, entry.ends))
        return entry

    async def since(self, account: str, version: int) -> Sequence[Restriction]:
        return [
            each.entry
            for each in self._all(account)
            if each.latest and each.entry.version > version
        ]

    async def accounts(self) -> frozenset[str]:
        self._opened.check()
        return frozenset(self._kept)

    async def page(
        self, account: str, scope: str, user_id: str, before: int, limit: int
    ) -> Sequence[Restriction]:
        found = [
            each.entry
            for each in reversed(list(self._all(account)))
            if (not before or each.entry.version < before)
            and scope in ("", each.entry.scope)
            and (
                each.entry.user_id == user_id
                if user_id
                else each.latest and each.entry.roles is None
            )
        ]
        return found[:limit]

    async def prune(self, before: int) -> None:
        self._opened.check()
        for account, kept in self._kept.items():
            # The newest stays: its number must not come back.
            self._kept[account] = [
                each
                for each in kept
                if each is kept[-1]
                or each.ends >= before + (0 if each.entry.roles is None else KEPT_MS)
            ]

    def _all(self, account: str) -> Iterator[_Kept]:
        self._opened.check()
        return iter(self._kept.get(account, ()))

    def _number(self, entry: Restriction) -> int:
        return sum(
            each.latest
            and each.entry.is_limited
            and (each.entry.roles is None) == (entry.roles is None)
            and each.ends > entry.at
            for each in self._kept[entry.account]
        )
