"""What refuses a message, for all combinations of reasons, and when each reason ends.

Whatever of them there are, the first of the documented order is told. What ends ends at its very
instant: by the wall clock where a time was named, wherever that is set to; by the time that passes
where it is a pause, whatever the wall clock does.
"""

import asyncio
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greenroom.bus.memory import MemoryBus
from greenroom.chat import modes
from greenroom.chat.chat import Chat
from greenroom.chat.outcome import Post, done
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.errors import PendingVerification, ServiceError
from greenroom.model.quotas import Quotas, RateProfile
from greenroom.model.restriction import Kind, Restriction
from greenroom.model.room import Room, RoomChange
from greenroom.model.room_settings import (
    BY_NAME,
    Override,
    Overrides,
    SettingsChange,
    Value,
    effective,
)
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.errors import (
    MESSAGE_TOO_LONG,
    RATE_LIMIT_EXCEEDED,
    SESSION_EXPIRED,
    ActionError,
)
from greenroom.protocol.session import Session
from greenroom.review.base import Allowed, Denied, Submission, Verdict
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.hand_clock import START_MS, HandClock
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.stage import claims_of
from tests.stand_ins.values import ACCOUNT, a_room

PAGE = Path(__file__).parents[2] / "docs/reference/extensions.md"

_TABLE = re.compile(r"\| a message meets \|[^\n]*\n(.*?)\n\n", re.DOTALL)

ROOM_RATE, ACCOUNT_RATE = 1, 3

ORDER: Mapping[str, tuple[object, ...]] = {
    "the session's end": (401, SESSION_EXPIRED),
    "the connection's rate": (429, RATE_LIMIT_EXCEEDED),
    "the form": (400, "Content is required"),
    "a missing capability": (403, "Forbidden: the chat token lacks the capability SEND_MESSAGE"),
    "a suspended account": ("PendingVerification", 403),
    "`maximumMessageLength`": (413, MESSAGE_TOO_LONG),
    "`BAN`": (403, "You are banned from the room"),
    "`MUTE`": (403, "You may not write"),
    "`HOLD`": (406, "Your messages need the approval of a moderator"),
    "`frozen`": (403, modes.FROZEN),
    "`writers`": (403, "Only these may write now: vip"),
    "`followerMinutes`": (403, "Only who has followed for 1 minute may write now"),
    "`accountMinutes`": (403, "Only who has had an account for 1 minute may write now"),
    "`slowModeSeconds`": (429, RATE_LIMIT_EXCEEDED, "told when"),
    "`emojiOnly`": (406, modes.EMOJI_ONLY),
    "`duplicateSeconds`": (406, modes.REPEATED),
    "the room's rate": ("ThrottlingException", 429, ROOM_RATE),
    "the account's rate": ("ThrottlingException", 429, ACCOUNT_RATE),
    "the review": (406, "not here"),
}
"""What is told of each reason, in the order of the page."""

MODES: Mapping[str, tuple[str, Value]] = {
    "`frozen`": ("frozen", True),
    "`writers`": ("writers", ("vip",)),
    "`followerMinutes`": ("followerMinutes", 1),
    "`accountMinutes`": ("accountMinutes", 1),
    "`slowModeSeconds`": ("slowModeSeconds", 3_600),
    "`emojiOnly`": ("emojiOnly", True),
    "`duplicateSeconds`": ("duplicateSeconds", 3_600),
}
"""The settings that are reasons, and what each is set to. Moderators and bots meet none."""

KINDS = {f"`{kind}`": kind for kind in (Kind.BAN, Kind.MUTE, Kind.HOLD)}

Reasons = Collection[str]


class World:
    """A room in which somebody has reasons not to have his message published."""

    def __init__(self, reasons: Reasons, *more: Capability) -> None:
        self.reasons = reasons
        self.time, self.store = HandClock(), MemoryStore()
        bus, tasks = MemoryBus(), LooseTasks()
        self.rooms = RoomsCache(self.store.rooms, bus, tasks)
        self.restrictions = Restrictions(self.store.restrictions, bus, self.time.clock, tasks)
        quotas = {"send_message_rate": ACCOUNT_RATE} if "the account's rate" in reasons else {}
        self.is_suspended = False
        self.chat = Chat(
            self.rooms,
            bus,
            Quotas(RateProfile.OFF, quotas, "the room's rate" in reasons),
            self.time.clock,
            check_account=self.check_account,
            reviewer=self,
            restrictions=self.restrictions,
        )
        reviewed = "arn:aws:lambda:us-east-1:123456789012:function:review"
        self.room = msgspec.structs.replace(
            a_room(uri=reviewed if "the review" in reasons else None),
            maximum_message_rate_per_second=ROOM_RATE,
        )
        self.bob = claims_of(
            room_arn=str(self.room.arn),
            user_id="bob",
            capabilities=(Capability.SEND_MESSAGE, *more),
            session_expires=START_MS + 10_000,
        )

    def check_account(self, _account: str) -> None:
        if self.is_suspended:
            raise PendingVerification("suspended")

    async def review(self, _room: Room, submission: Submission) -> Verdict:
        if submission.user_id == "bob" and self.is_over:
            return Denied("not here")
        return Allowed(submission.content, submission.attributes)

    async def problem(self, _uri: str) -> str | None:
        return None

    is_over = False
    """Whether all that bob wrote before was written."""

    async def set(self, *reasons: str) -> None:
        """Have settings refuse for these reasons."""
        values = {name: Override(value, "mod") for name, value in map(MODES.__getitem__, reasons)}
        await self.store.rooms.set(self.room.arn, SettingsChange(values, (), START_MS))
        await self.read_again()

    async def read_again(self) -> None:
        self.rooms.forget(str(self.room.arn))
        await self.rooms.get(str(self.room.arn))

    async def say(self, who: ChatTokenClaims) -> None:
        await done(self.chat.send_message(who, SendMessage("hi"), lambda: ""))

    async def begin(self) -> "World":
        """Have every reason hold."""
        await self.store.rooms.create(self.room, 0)
        paces = {"`slowModeSeconds`", "`duplicateSeconds`"} & {*self.reasons}
        await self.set(*paces)
        if paces:
            await self.say(self.bob)
            self.time.advance(1)
        self.is_over = True
        await self.set(*(each for each in MODES if each in self.reasons))
        for kind in (KINDS[each] for each in self.reasons if each in KINDS):
            self.restrictions.learn(await self.restrictions.keep(restricted(self.room, kind)))
        if "`maximumMessageLength`" in self.reasons:
            change = RoomChange(maximum_message_length=1)
            await self.store.rooms.update(self.room.arn, change, START_MS)
            await self.read_again()
        await self.spend()
        self.is_suspended = "a suspended account" in self.reasons
        return self

    async def spend(self) -> None:
        """Have others use up the rates."""
        other = a_room()
        await self.store.rooms.create(other, 0)
        used_up = {"the room's rate": self.room, "the account's rate": other}
        for reason, room in used_up.items():
            while reason in self.reasons:
                try:
                    await done(self.chat.send_message(_bot(room), SendMessage("\u2764"), str))
                except ServiceError:
                    break

    def session(self) -> Session:
        """Return bob's connection."""
        claims = self.bob
        if "a missing capability" in self.reasons:
            claims = msgspec.structs.replace(claims, capabilities=claims.capabilities[1:])
        made = Session(claims, 1, self.time.clock.now())
        if "the connection's rate" in self.reasons:
            made.receive(b'{"Action":"greenroom:VIEWERS"}', self.time.clock.now())
        if "the session's end" in self.reasons:
            # It ends in this very millisecond.
            made.claims = msgspec.structs.replace(claims, session_expires=self.time.clock.now_ms())
        return made

    async def refusal(self) -> tuple[object, ...] | None:
        """Have bob write, and return what he is told; None: it was published."""
        form = b"" if "the form" in self.reasons else b'"Content":"hi",'
        text = b'{"Action":"SEND_MESSAGE",' + form + b'"RequestId":"7"}'
        session = self.session()
        try:
            action = session.receive(text, self.time.clock.now())
            assert isinstance(action, SendMessage)
            await done(self.chat.send_message(session.claims, action, lambda: ""))
        except ActionError as error:
            answers = (error.code, error.message, *(["told when"] if error.you else []))
            return answers if error.request_id == "7" else None
        except ServiceError as error:
            limit = error.members().get("limit")
            return (error.code, error.status, *([limit] if limit else []))
        return None


def _bot(room: Room) -> ChatTokenClaims:
    capabilities = (Capability.SEND_MESSAGE, Capability.BYPASS)
    return claims_of(room_arn=str(room.arn), user_id="bot", capabilities=capabilities)


def restricted(
    room: Room, kind: Kind, *, expires: int = 0, of_account: bool = False
) -> Restriction:
    """Return what restricts bob."""
    return Restriction(
        account=ACCOUNT,
        scope=ACCOUNT if of_account else str(room.arn),
        user_id="bob",
        kind=kind,
        by="mod",
        at=START_MS,
        expires=expires,
    )


@contextmanager
def running() -> Iterator[asyncio.Runner]:
    """Give what runs coroutines for an example."""
    with asyncio.Runner() as runner:
        yield runner


@example(reasons=set(ORDER), exempt=None)
@example(reasons=set(), exempt=None)
@given(
    st.sets(st.sampled_from(list(ORDER)), max_size=6),
    st.sampled_from([None, None, Capability.MODERATE, Capability.BYPASS]),
)
def test_the_first_reason_is_told(reasons: set[str], exempt: Capability | None) -> None:
    """Of any reasons; who may moderate and bots are told of the first that is no mode."""

    async def told() -> tuple[object, ...] | None:
        world = World(reasons, *([exempt] if exempt else []))
        return await (await world.begin()).refusal()

    met = [each for each in ORDER if each in reasons and not (exempt and each in MODES)]
    with running() as runner:
        assert runner.run(told()) == (ORDER[met[0]] if met else None)


@pytest.mark.parametrize("reason", ORDER)
async def test_each_reason_is_told(reason: str) -> None:
    """Where there is no other one."""
    world = await World({reason}).begin()
    assert await world.refusal() == ORDER[reason]


def test_the_order_is_documented() -> None:
    """The page says what a message meets, in the order in which it does."""
    (table,) = _TABLE.findall(PAGE.read_text("utf-8"))
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[1:]]
    found = [(reason, row[1]) for row in rows for reason in row[0].split(", ")]
    assert [reason for reason, _ in found] == list(ORDER)
    for reason, said in found:
        code = next(each for each in ORDER[reason] if isinstance(each, int))
        assert str(code) in said.split(", "), reason


MOVES = st.lists(
    st.tuples(st.booleans(), st.sampled_from([-3600, -1, -0.001, 0.001, 0.999, 1, 5, 3600])),
    max_size=6,
)
"""How the clocks move: `True` for both, by as much as is passed; `False` for the wall clock."""


class Ending:
    """Reasons of which each ends by itself, some seconds from the start."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self.world = World(())
        self.expires = START_MS + seconds * 1000

    async def begin(self, what: str) -> "Ending":
        """Have one reason hold."""
        world, arn = self.world, self.world.room.arn
        await world.store.rooms.create(world.room, 0)
        if what in KINDS:
            entry = restricted(world.room, KINDS[what], expires=self.expires)
            world.restrictions.learn(await world.restrictions.keep(entry))
        elif what in ("`slowModeSeconds`", "`duplicateSeconds`"):
            held = {what.strip("`"): Override(self.seconds, "mod")}
            await world.store.rooms.set(arn, SettingsChange(held, (), START_MS))
        elif what in ("`followerMinutes`", "`accountMinutes`"):
            held = {what.strip("`"): Override(1, "mod")}
            await world.store.rooms.set(arn, SettingsChange(held, (), START_MS))
            # A minute later it is long enough.
            since = (self.expires - 60_000) // 1000
            name = {"`followerMinutes`": "following-since"}.get(what, "account-since")
            world.bob = msgspec.structs.replace(world.bob, own={name: _iso(since)})
        else:
            name, value = MODES[what]
            held = {name: Override(value, "mod", self.expires)}
            await world.store.rooms.set(arn, SettingsChange(held, (), START_MS))
        await world.read_again()
        if what in PAUSES:
            await world.say(world.bob)
        return self

    async def refuses(self) -> bool:
        """Return whether a message would be refused; nothing is published."""
        room = await self.world.rooms.get(str(self.world.room.arn))
        settings = self.world.chat.settings.of_room(room)
        post = Post("", settings=settings, now=self.world.time.clock.monotonic())
        try:
            for passes in self.world.chat._gates:
                passes(room, self.world.bob, SendMessage("hi"), post)
        except ActionError:
            return True
        return False


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


PAUSES = ("`slowModeSeconds`", "`duplicateSeconds`")
"""What ends when so much time has passed, whatever the wall clock shows."""


@example(what="`MUTE`", seconds=1, moves=[(True, 0.999), (True, 0.001), (False, -0.001)])
@example(what="`slowModeSeconds`", seconds=1, moves=[(True, 0.999), (False, 3600), (True, 0.001)])
@given(
    st.sampled_from([*KINDS, *MODES]),
    st.sampled_from([1, 2, 5, 3600]),
    MOVES,
)
def test_each_reason_ends_at_its_instant(
    what: str, seconds: int, moves: list[tuple[bool, float]]
) -> None:
    """Not a millisecond earlier or later; set back behind it, the wall clock has it again."""

    async def walk() -> None:
        ending = await Ending(seconds).begin(what)
        time, start = ending.world.time, ending.world.time.seconds
        for is_time, by in [(True, 0.0), *moves]:
            if is_time:
                time.advance(abs(by))
            else:
                time.jump(by)
            passed = round(time.seconds - start, 6)
            left = seconds - passed if what in PAUSES else (ending.expires - time.clock.now_ms())
            assert await ending.refuses() is (left > 0), (passed, left)

    with running() as runner:
        runner.run(walk())


ENDS = st.sampled_from([None, -1, 0, 1])
"""When something is over, in seconds from now; None: there is nothing."""


@given(st.sampled_from(list(KINDS.values())), ENDS, ENDS)
def test_what_a_room_says_of_a_user_goes_before_the_account(
    kind: Kind, room_ends: int | None, account_ends: int | None
) -> None:
    """While it holds: what is over says nothing, and the account's is told again."""
    now = START_MS + 10_000

    async def held() -> Restriction | None:
        world = World(())
        for ends, of_account in ((account_ends, True), (room_ends, False)):
            if ends is not None:
                entry = restricted(
                    world.room, kind, expires=now + ends * 1000, of_account=of_account
                )
                world.restrictions.learn(await world.restrictions.keep(entry))
        world.time.advance(10)
        return world.restrictions.of_sender(world.room, world.bob).get(kind)

    with running() as runner:
        found = runner.run(held())
    if room_ends is not None and room_ends > 0:
        assert found is not None
        assert not found.is_of_account
    elif account_ends is not None and account_ends > 0:
        assert found is not None
        assert found.is_of_account
    else:
        assert found is None


@given(st.sampled_from([None, 3, 9]), st.sampled_from([None, 0, 5]), ENDS, ENDS)
def test_what_is_set_goes_before_tags_and_a_shield_before_both(
    tag: int | None, set_to: int | None, ends: int | None, shield_ends: int | None
) -> None:
    """For as long as each holds; without any of them the default holds."""
    now = START_MS
    tags = {} if tag is None else {BY_NAME["slowModeSeconds"].tag: str(tag)}
    values: dict[str, Any] = {}
    if set_to is not None:
        values["slowModeSeconds"] = Override(set_to, "mod", 0 if ends is None else now + ends)
    if shield_ends is not None:
        values["shield"] = Override(True, "mod", now + shield_ends)
    found = effective(tags, Overrides(1, values), now).settings.slow_mode_seconds
    if shield_ends is not None and shield_ends > 0:
        assert found == 30
    elif set_to is not None and (ends is None or ends > 0):
        assert found == set_to
    else:
        assert found == (tag or 0)
