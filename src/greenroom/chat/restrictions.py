"""Who may not do what, in memory on every node, and how it is changed, for both planes.

- What is kept of an account is read when the node starts, and from then on what is new: each node
  that restricts somebody says so, and the others read what is behind the version that they know. So
  a word that was missed is made up for by the next one, and after an outage by itself.
- A read that failed is tried again each second until it succeeds; where others restrict users, too,
  what is new is read each minute, whatever was heard.
- A message costs a look into a dictionary, and nothing where nobody is restricted.
- What is over is not kept in memory, and what was over long ago not in the store.
- A ban ends the user's connections: on the node where it was made before it is answered, on the
  others as soon as they have read it.
- What holds of a user's addresses, too, is found by them as well: see `addressed`. Entries that
  say which roles a user has come the same way, and restrict nothing: see `roles`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog

from greenroom.bus.base import Control, RestrictionsChanged
from greenroom.chat.address_hashes import AddressHashes
from greenroom.chat.addressed import NOTHING, Addressed, Held
from greenroom.chat.roles import Roles
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.restriction import KEPT_MS, MOST_RESTRICTIONS, Kind, Restriction
from greenroom.model.room import Room
from greenroom.network.addresses import UNKNOWN
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.restrictions import Restrictions as KeptRestrictions

log = structlog.get_logger()

LOOK_SECONDS = 1
"""How often `Restrictions.look` is to be called."""

Enforce = Callable[[Restriction], None]
"""Has a restriction hold of the connections on this node that it is about."""

SWEEP_SECONDS = 3600
"""Seconds between two looks for what is over."""

PRUNE_EVERY = 24
"""Which of them also removes from the store what was over long ago: once a day."""

_SLICE = 1000
"""Users looked at before the loop may do something else: below a millisecond."""


class Restrictions:
    """What holds of each user."""

    def __init__(
        self,
        kept: KeptRestrictions,
        control: Control,
        clock: Clock,
        tasks: asyncio.TaskGroup,
        backstop_seconds: float = 0,
        hashes: AddressHashes | None = None,
    ) -> None:
        """Make it knowing nothing; `start` reads what there is.

        What is new is read at the latest after `backstop_seconds`, 0: as it is heard of only.
        """
        self.roles = Roles()
        self.addressed = Addressed(hashes or AddressHashes(b""))
        self._backstop = backstop_seconds
        self._caught_up = clock.monotonic()
        self._catching_up = False
        self._failures = 0
        self._kept = kept
        self._clock = clock
        self._control = control
        self._tasks = tasks
        self._of: dict[tuple[str, str], dict[Kind, Restriction]] = {}
        self._versions: dict[str, int] = defaultdict(int)
        # What was learned before it was read, also what lifts: by scope, user and kind its version.
        self._ahead: dict[tuple[str, str, Kind], int] = {}
        self._enforcers: list[Enforce] = []
        self._ticks = 0
        control.on(RestrictionsChanged, self._changed)
        control.on_reset(self._reset)

    def __len__(self) -> int:
        """Return how many users are restricted, each in a room or an account."""
        return len(self._of)

    def when_met(self, enforce: Enforce) -> None:
        """Call back for each ban that becomes known, what holds of addresses, and for roles."""
        self._enforcers.append(enforce)

    async def start(self) -> None:
        """Read all that is kept; forget for good what was over long ago."""
        await self._prune()
        await self._read(await self._kept.accounts())

    def tick(self) -> None:
        """Forget what is over; once a day also for good what was over long ago."""
        self._ticks += 1
        self._tasks.create_task(self._tidy(prune=self._ticks % PRUNE_EVERY == 0))

    async def _tidy(self, *, prune: bool) -> None:
        self.roles.forget_over(self._clock.now_ms())
        users = list(self._of)
        for start in range(0, len(users), _SLICE):
            now = self._clock.now_ms()
            for user in users[start : start + _SLICE]:
                self._hold(user, self._of.get(user, NOTHING), now)
            await asyncio.sleep(0)
        if prune:
            try:
                await self._prune()
            except StorageUnavailable:
                log.warning("what was over long ago of restrictions cannot be removed today")

    async def _prune(self) -> None:
        await self._kept.prune(self._clock.now_ms() - KEPT_MS)

    def _hold(self, user: tuple[str, str], held: Held, now: int) -> None:
        """Have this hold of a user in a scope, but for what is over."""
        # A mapping that somebody was given stays as it is.
        left = {kind: each.at_time(now) for kind, each in held.items() if each.counts(now)}
        before = self._of.get(user, NOTHING)
        for kind in before.keys() | left.keys():
            if before.get(kind) is not left.get(kind):
                self.addressed.replace(before.get(kind), left.get(kind))
        if left:
            self._of[user] = left
        else:
            self._of.pop(user, None)

    def held(self, room_arn: str, account: str, user_id: str, token_id: str = "") -> Held:
        """Return what holds of a user in a room; of two of a kind that of the room.

        With the id of a connection's token also what holds of the address that it comes from.
        """
        if not self._of:
            return NOTHING
        in_room = self._of.get((room_arn, user_id))
        anywhere = self._of.get((account, user_id))
        now = self._clock.now_ms()
        met = self.addressed.of_connection(room_arn, account, token_id, now)
        if in_room is None and anywhere is None:
            return met
        both = (*(anywhere or NOTHING).items(), *(in_room or NOTHING).items())
        return {**met, **{kind: each for kind, each in both if each.holds(now)}}

    def of_sender(self, room: Room, sender: ChatTokenClaims) -> Held:
        """Return what holds of a message's sender."""
        if not self._of:
            return NOTHING
        account = room.arn.account
        return self.held(sender.room_arn, account, sender.user_id, sender.token_id)

    def ban(self, room: Arn, user_id: str, address: bytes = UNKNOWN) -> Restriction | None:
        """Return the ban of a user in a room, or of his address, or None."""
        if not self._of:
            return None
        ban = self.held(str(room), room.account, user_id).get(Kind.BAN)
        return ban or self.address_held(room, address).get(Kind.BAN)

    def address_held(self, room: Arn, address: bytes) -> Held:
        """Return what holds of an address in a room."""
        now = self._clock.now_ms()
        return self.addressed.of_address(str(room), room.account, address, now)

    def addresses(self, scope: str, user_id: str, kind: Kind) -> Mapping[str, int]:
        """Return the addresses of which a kind holds for a user in a scope, with their ends."""
        found = self._of.get((scope, user_id), NOTHING).get(kind)
        return {} if found is None else found.addresses_at(self._clock.now_ms())

    async def keep(self, entry: Restriction, most: int = MOST_RESTRICTIONS) -> Restriction:
        """Keep an entry and return it with its version; it does not hold yet.

        Raises:
            ServiceQuotaExceededException: so many users are restricted.
        """
        return await self._kept.add(entry, most)

    def hold(self, entry: Restriction) -> None:
        """Have an entry that is kept hold, on every node, and end the connections of a ban."""
        self.learn(entry)
        if self._is_latest(entry):
            self._enforce(entry)
        self._control.broadcast(RestrictionsChanged(entry.account, entry.version))

    def _is_latest(self, entry: Restriction) -> bool:
        if entry.roles is not None:
            return self.roles.is_latest(entry)
        known = self._of.get((entry.scope, entry.user_id), NOTHING).get(entry.kind)
        return known is not None and known.version == entry.version

    def look(self) -> None:
        """Read what could not be read before, or what nobody told this node of."""
        now = self._clock.monotonic()
        is_due = 0 < self._backstop <= now - self._caught_up
        if (self._failures or is_due) and not self._catching_up:
            self._catching_up, self._caught_up = True, now
            self._tasks.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        before = self._failures
        try:
            await self._read_everything()
        finally:
            self._catching_up = False
        if self._failures == before:
            self._failures = 0

    def _changed(self, told: RestrictionsChanged) -> None:
        if told.version > self._versions[told.account]:
            self._tasks.create_task(self._read_or_say((told.account,)))

    def _reset(self) -> Awaitable[object]:
        return self._tasks.create_task(self._read_everything())

    async def _read_everything(self) -> None:
        try:
            accounts = await self._kept.accounts()
        except StorageUnavailable:
            self._note_failure()
            return
        await self._read_or_say(accounts)

    async def _read_or_say(self, accounts: Iterable[str]) -> None:
        try:
            await self._read(accounts)
        except StorageUnavailable:
            self._note_failure()

    def _note_failure(self) -> None:
        if not self._failures:
            log.warning("restrictions of users cannot be read now: those that are known hold")
        self._failures += 1

    async def _read(self, accounts: Iterable[str]) -> None:
        for account in accounts:
            for entry in await self._kept.since(account, self._versions[account]):
                if entry.version > self._versions[account]:
                    self._versions[account] = entry.version
                    if self._take(entry):
                        self._enforce(entry)
                if self._ahead.get(_key(entry), entry.version + 1) <= entry.version:
                    del self._ahead[_key(entry)]

    def learn(self, entry: Restriction) -> None:
        """Have an entry that is kept hold on this node from now on. Connections stay.

        Others below its version may still have to be read.
        """
        # What was read already holds, or something came behind it that need not be here any more.
        if entry.version > self._versions[entry.account] and self._take(entry):
            self._ahead[_key(entry)] = entry.version

    def _take(self, entry: Restriction) -> bool:
        """Have an entry hold; return whether it is new."""
        if entry.roles is not None:
            return self.roles.take(entry)
        user = (entry.scope, entry.user_id)
        known = self._of.get(user, {}).get(entry.kind)
        if known is not None and known.version >= entry.version:
            return False
        # One that was replaced by something that need not be here any more.
        if self._ahead.get(_key(entry), 0) > entry.version:
            return False
        # Also what is over or lifts: it replaces what was before it.
        held = {**self._of.get(user, NOTHING), entry.kind: entry}
        self._hold(user, held, self._clock.now_ms())
        return True

    def _enforce(self, entry: Restriction) -> None:
        """End the connections that a ban is about; have addresses and roles meet them."""
        meets = entry.kind is Kind.BAN or entry.addresses
        if entry.roles is not None or (meets and entry.holds(self._clock.now_ms())):
            for enforce in self._enforcers:
                enforce(entry)


def _key(entry: Restriction) -> tuple[str, str, Kind]:
    """Return what an entry replaces the latest one of."""
    return entry.scope, entry.user_id, entry.kind
