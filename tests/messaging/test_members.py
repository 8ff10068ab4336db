"""One room's connections: whose they are, and whether it waits before it is written to."""

from collections.abc import Mapping
from unittest import mock

import pytest

from greenroom.bus.base import Deliver
from greenroom.messaging.members import SEALED_COST, Members, Part, SealedPart
from greenroom.messaging.pacing import Pace
from greenroom.messaging.sockets import NO_SOCKET
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.protocol.wishes import View
from tests.stand_ins.stage import ROOM, claims_of
from tests.stand_ins.tls_pair import Keys, Pair


class Of:
    """A connection of a user."""

    key_id = "k"
    may_moderate = False
    is_bot = False
    is_open = True
    origin = b""
    claims = claims_of()
    attributes: Mapping[str, str] = {}
    shown_names = ()

    def __init__(self, user_id: str, view: View = View.PLAIN) -> None:
        self.user_id, self.view = user_id, view

    def write(self, data: bytes) -> None: ...

    def renew(self, claims: ChatTokenClaims) -> None: ...

    def revoke(self) -> None: ...

    def expel(self) -> None: ...

    def disconnect(self, reason: str, last: bytes = b"") -> None: ...

    def drain(self) -> None: ...


async def test_a_new_room() -> None:
    """It waits for nothing, and does not end."""
    room = Members(ROOM)
    assert (room.ending, room.scheduled, room.writing) == (False, False, False)
    assert (room.begun, room.waited, room.pace.waits()) == (0, 0, True)
    assert room.owner == (ROOM.account, ROOM.region)


@pytest.mark.parametrize("asked_first", [True, False])
async def test_how_many_are_a_users(asked_first: bool) -> None:
    """Counted exactly from the first question on, whoever comes and goes; none is not kept."""
    room = Members(ROOM)
    connections = [Of(user) for user in ("ann", "ann", "bob")]
    if asked_first:
        assert room.reaches("ann", 0)
        assert room.users == {}
    for each in connections:
        room.join(each, NO_SOCKET)
    assert [room.reaches("ann", number) for number in range(4)] == [True, True, True, False]
    assert [room.reaches("bob", number) for number in range(3)] == [True, True, False]
    assert not room.reaches("eve", 1)
    assert room.leave(connections[0])
    assert not room.leave(connections[0])
    assert [room.reaches("ann", number) for number in range(3)] == [True, True, False]
    assert room.leave(connections[1])
    assert room.users is not None
    assert dict(room.users) == {"bob": 1}
    room.join(connections[0], NO_SOCKET)
    assert room.users["ann"] == 1


async def test_a_small_room_counts_nobody() -> None:
    """A user cannot have more connections there than there are."""
    room = Members(ROOM)
    room.join(Of("ann"), NO_SOCKET)
    assert not room.reaches("ann", 2)
    assert room.users is None
    assert room.reaches("ann", 1)


async def test_whom_a_flush_is_for() -> None:
    """Those who are there when it begins, in slices; who came or went is seen by the next one."""
    room = Members(ROOM)
    first, second, third = (Of(name) for name in ("a", "b", "c"))
    for each in (first, second):
        room.join(each, NO_SOCKET)
    (part,) = room.divided(2)
    assert room.divided(2) == (part,)
    room.join(third, NO_SOCKET)
    assert [each.connections for each in room.divided(2)] == [(first, second), (third,)]
    room.leave(first)
    assert [each.connections for each in room.divided(2)] == [(second, third)]
    assert [each.connections for each in room.present(part)] == [(second,)]
    room.leave(second)
    assert room.present(part) == ()


@pytest.mark.parametrize("gained", [False, True])
async def test_what_a_wait_brought(gained: bool) -> None:
    """Whether there are more frames than there were is noted, once for each wait."""
    room = Members(ROOM)
    room.pace = pace = mock.Mock(Pace)
    room.waited = 1
    room.pending += [Deliver(b"x", "SendMessage")] * (1 + gained)
    for _ in range(2):
        room.learn()
        assert room.waited == 0
    assert pace.note.mock_calls == [mock.call(gained=gained)]


async def test_parts_are_of_one_view() -> None:
    """Who asked for more is written to apart, and counted; where nobody did, nothing is sorted."""
    room = Members(ROOM)
    everybody = [Of("a"), Of("m", View.MODERATORS), Of("e", View.EVENTS), Of("b")]
    for each in everybody:
        room.join(each, NO_SOCKET)
    parts = room.divided(10)
    assert [(part.view, len(part.connections)) for part in parts] == [
        (View.PLAIN, 2),
        (View.EVENTS, 1),
        (View.MODERATORS, 1),
    ]
    assert [room.number(view) for view in View] == [2, 1, 1]
    assert [each.view for part in parts for each in room.present(part)] == list(View)
    room.leave(everybody[1])
    room.leave(everybody[2])
    assert not room.views
    assert [part.view for part in room.divided(10)] == [View.PLAIN]


async def test_whose_bytes_are_encrypted() -> None:
    """They are parts of their own, and smaller ones; who holds bytes back goes with the others."""
    room = Members(ROOM)
    keys = Keys()
    connections = [Of(str(number)) for number in range(6)]
    for number, each in enumerate(connections):
        room.join(each, NO_SOCKET if number == 1 else Pair(keys).transport)
    parts = room.divided(2 * SEALED_COST)
    plain, *sealed = parts
    assert (type(plain), plain.connections, plain.cost) == (Part, (connections[1],), 1)
    assert [type(each) for each in sealed] == [SealedPart] * 3
    assert [each.connections for each in sealed] == [
        (connections[0], connections[2]),
        (connections[3], connections[4]),
        (connections[5],),
    ]
    assert [each.cost for each in sealed] == [2 * SEALED_COST, 2 * SEALED_COST, SEALED_COST]
    room.write_to(connections[3], NO_SOCKET)
    room.leave(connections[4])
    assert [type(each) for each in room.present(sealed[1])] == [Part]
    assert [type(each) for each in room.present(sealed[0])] == [SealedPart]
    # Even where that is more than a slice.
    assert [len(each.connections) for each in room.divided(SEALED_COST - 1)] == [2, 1, 1, 1]
