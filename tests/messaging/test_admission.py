"""Who may become a connection: the order of refusals, and what each leaves of the token."""

import asyncio
from typing import Any

import msgspec
import pytest

from greenroom.model.arn import Arn, ResourceType
from greenroom.protocol.handshake import HandshakeRefused, Refusal
from greenroom.storage.base import StorageUnavailable
from greenroom.tokens.key_ring import KeyRing, seal_claims
from tests.stand_ins.hand_clock import START_MS
from tests.stand_ins.stage import RING, ROOM, Stage, claims_of, frames_of, settle, stage, token

ELSEWHERE = Arn("us-east-1", "123456789012", ResourceType.ROOM, "Nowhere00001")


async def refusal(made: Stage, text: str) -> str:
    """Return the message with which the token is refused."""
    with pytest.raises(HandshakeRefused) as refused:
        await made.admission.admit(text)
    return refused.value.message


async def test_each_token_is_good_once() -> None:
    """The first use returns what the token says; the second is refused."""
    claims = claims_of(user_id="bob", attributes={"a": "b"})
    text = seal_claims(KeyRing({"k": bytes(32)}, "k"), claims, b"n" * 12)
    async with stage() as made:
        assert await made.admission.admit(text) == (claims, "k")
        assert await refusal(made, text) == Refusal.TOKEN_USED.error().message


async def test_of_many_at_once_one_is_admitted() -> None:
    """Of any number of simultaneous connections with one token exactly one is accepted."""
    text = token()
    async with stage() as made:
        made.store.gate.clear()
        admits = [asyncio.create_task(made.admission.admit(text)) for _ in range(10)]
        await settle()
        made.store.gate.set()
        outcomes = await asyncio.gather(*admits, return_exceptions=True)
        assert sum(not isinstance(each, BaseException) for each in outcomes) == 1
        used = Refusal.TOKEN_USED.error().message
        assert [str(each) for each in outcomes if isinstance(each, BaseException)] == [used] * 9


async def test_a_place_in_the_room_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is let in, and no token used up, before what is published would arrive."""
    async with stage() as made:
        following: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(made.bus, "follow", lambda _: asyncio.shield(following))
        text = token()
        admit = asyncio.create_task(made.admission.admit(text))
        await settle()
        assert not admit.done()
        admit.cancel()
        await settle()
        assert not made.admission.admitting
        following.set_result(None)
        await made.admission.admit(text)


async def test_a_room_that_is_forgotten_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a token is used up the store may go away: it has opened a connection all the same."""
    async with stage() as made:
        redeem = made.admission.redeemer.redeem

        async def redeem_and_forget(*token: Any) -> bool:
            first = await redeem(*token)
            made.rooms.clear()
            monkeypatch.setattr(made.rooms, "get", _away)
            return first

        monkeypatch.setattr(made.admission.redeemer, "redeem", redeem_and_forget)
        _, transport = made.begin(token(), target=b"/?events=on")
        await settle()
        assert made.hub.connections == 1
        _, _, behind = transport.take()[0].partition(b"\r\n\r\n")
        (_, welcome), *_ = frames_of([behind])
        assert "Settings" in msgspec.json.decode(welcome)["Attributes"]


async def _away(*_: object) -> None:
    raise StorageUnavailable("away")


async def test_a_room_that_nobody_came_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not followed any longer, whether who was expected was let in or not."""
    followed: list[str] = []
    async with stage() as made:
        monkeypatch.setattr(made.bus, "follow", followed.append)
        monkeypatch.setattr(made.bus, "unfollow", followed.remove)
        text = token()
        await made.admission.admit(text)
        assert followed == [str(ROOM)]
        await settle()
        assert followed == []
        assert await refusal(made, text) == Refusal.TOKEN_USED.error().message
        await settle()
        assert followed == []


async def test_expiry_is_exact() -> None:
    """A token is good until its last millisecond, and not at its end."""
    async with stage() as made:
        made.time.advance(59.999)
        await made.admission.admit(token())
        made.time.advance(0.001)
        assert await refusal(made, token()) == Refusal.TOKEN_EXPIRED.error().message


@pytest.mark.parametrize(
    ("text", "expected"),
    [("no-token", Refusal.TOKEN_MALFORMED), ("", Refusal.TOKEN_MALFORMED), (None, None)],
    ids=["malformed", "empty", "foreign"],
)
async def test_not_ours(text: str | None, expected: Refusal | None) -> None:
    """A malformed token and one of another service are told apart."""
    foreign = seal_claims(KeyRing({"k": b"\1" * 32}, "k"), claims_of(), bytes(12))
    async with stage() as made:
        wanted = expected or Refusal.TOKEN_FOREIGN
        assert await refusal(made, foreign if text is None else text) == wanted.error().message


@pytest.mark.parametrize(
    ("found", "expected"),
    [(True, None), (False, Refusal.TOKEN_FOREIGN), (None, Refusal.UNAVAILABLE)],
    ids=["made elsewhere", "made by nobody", "nobody can say"],
)
async def test_a_key_that_is_not_known(
    found: bool | None, expected: Refusal | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys are read: another node may have made it, and sealed the token, a moment ago."""
    newer = RING.rotated("new", b"n" * 32, 0)
    claims = claims_of()
    text = seal_claims(newer, claims, b"n" * 12)
    ring = KeyRing({"k": bytes(32)}, "k")

    async def read() -> None:
        if found is None:
            raise StorageUnavailable("away")
        if found:
            ring.adopt(newer)

    async with stage() as made:
        admission = msgspec.structs.replace(made.admission, ring=ring, read_keys=read)
        if expected is None:
            assert await admission.admit(text) == (claims, "new")
        else:
            with pytest.raises(HandshakeRefused) as refused:
                await admission.admit(text)
            assert refused.value.message == expected.error().message


async def test_a_key_is_not_read_for_a_token_that_was_changed() -> None:
    """Its key is known here: nothing that is kept elsewhere makes it good."""
    text = seal_claims(KeyRing({"k": b"\1" * 32}, "k"), claims_of(), bytes(12))

    async def read() -> None:
        raise AssertionError("the keys were read")

    async with stage() as made:
        admission = msgspec.structs.replace(made.admission, read_keys=read)
        for each in (text, "no-token"):
            with pytest.raises(HandshakeRefused):
                await admission.admit(each)


async def test_expired_before_anything_else() -> None:
    """An expired token is called expired, also of a room that is gone, while draining."""
    async with stage() as made:
        made.hub.drain()
        text = token(token_expires=START_MS, room_arn=str(ELSEWHERE))
        assert await refusal(made, text) == Refusal.TOKEN_EXPIRED.error().message
        assert made.store.asked == 0


async def test_room_gone() -> None:
    """A room that does not exist, or was deleted since, is a 404, and the token stays usable."""
    text = token()
    async with stage() as made:
        assert (
            await refusal(made, token(room_arn=str(ELSEWHERE))) == Refusal.ROOM_GONE.error().message
        )
        room = await made.store.rooms.get(ROOM)
        await made.store.rooms.delete(ROOM)
        assert await refusal(made, text) == Refusal.ROOM_GONE.error().message
        await made.store.rooms.create(room, 0)
        made.rooms.forget(str(ROOM))
        assert (await made.admission.admit(text))[0].user_id == "ann"


async def test_too_many_connections_leave_the_token_usable() -> None:
    """At the quota a connection is refused; when one leaves, the same token is good."""
    text = token()
    async with stage(connections=1) as made:
        edge, _ = await made.connect()
        assert await refusal(made, text) == Refusal.TOO_MANY_CONNECTIONS.error().message
        edge.connection_lost(None)
        assert (await made.admission.admit(text))[0].user_id == "ann"


async def test_the_quota_holds_while_tokens_are_redeemed() -> None:
    """Of many connections that come at once no more get in than the quota has places for."""
    tokens = [token() for _ in range(5)]
    async with stage(connections=2) as made:
        await made.rooms.get(str(ROOM))
        made.store.gate.clear()
        pairs = [made.begin(each) for each in tokens]
        await settle()
        made.store.gate.set()
        await settle()
        answers = [transport.take()[0].split()[1] for _, transport in pairs]
        assert sorted(answers) == [b"101"] * 2 + [b"429"] * 3
        assert made.hub.connections == 2
        for _, transport in pairs:
            transport.protocol.connection_lost(None)
        usable = [each for each, answer in zip(tokens, answers, strict=True) if answer == b"429"]
        assert (await made.admission.admit(usable[0]))[0].user_id == "ann"


async def test_draining_leaves_the_token_usable() -> None:
    """A node that stops admits nobody; the token is good at the next one."""
    text = token()
    async with stage() as made:
        made.hub.drain()
        assert await refusal(made, text) == Refusal.UNAVAILABLE.error().message
        made.hub.draining = False
        assert (await made.admission.admit(text))[0].user_id == "ann"


async def test_a_drain_that_begins_while_the_store_is_asked() -> None:
    """Whoever joined afterwards would be told by nobody: nobody comes in any more."""
    async with stage() as made:
        made.store.gate.clear()
        admitting = asyncio.create_task(refusal(made, token()))
        await settle()
        made.hub.draining = True
        made.store.gate.set()
        assert await admitting == Refusal.UNAVAILABLE.error().message


async def test_a_node_short_of_memory_leaves_the_token_usable() -> None:
    """It admits nobody until it has memory again."""
    text = token()
    async with stage() as made:
        made.memory.pressed = True
        assert await refusal(made, text) == Refusal.MEMORY_FULL.error().message
        made.memory.pressed = False
        assert (await made.admission.admit(text))[0].user_id == "ann"


async def test_which_room_was_asked_for() -> None:
    """A refusal names the room once the token has said it, and none before."""
    async with stage() as made:
        for text, room in ((token(token_expires=START_MS), str(ROOM)), ("no-token", "")):
            with pytest.raises(HandshakeRefused) as refused:
                await made.admission.admit(text)
            assert refused.value.room == room


async def test_the_key_of_a_token() -> None:
    """It is good once more, unless the key was killed meanwhile."""
    async with stage() as made:
        made.admission.check_key("k")
        killed = msgspec.structs.replace(made.admission, ring=KeyRing({"j": b"\1" * 32}, "j"))
        with pytest.raises(HandshakeRefused) as refused:
            killed.check_key("k")
        assert refused.value.message == Refusal.TOKEN_FOREIGN.error().message


async def test_storage_unavailable() -> None:
    """A store that cannot answer is a 503, and nothing of it is remembered."""
    text = token()
    async with stage() as made:
        made.store.error = StorageUnavailable("The disk is full")
        assert await refusal(made, text) == Refusal.UNAVAILABLE.error().message
        made.store.error = None
        assert (await made.admission.admit(text))[0].user_id == "ann"
