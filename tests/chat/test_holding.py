"""Which messages wait, by the settings of their room and by who sent them."""

import pytest

from greenroom.chat.held_queues import HeldQueues
from greenroom.chat.holding import Holding
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.errors import ConflictException
from greenroom.model.held_message import HeldMessage
from greenroom.model.room_settings import DEFAULTS, RoomSettings
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.stage import claims_of
from tests.stand_ins.values import room_arn

ROOM = room_arn()
VIEWER = (Capability.SEND_MESSAGE,)
MODERATOR = (*VIEWER, Capability.MODERATE)

DELAYED, PAUSED = RoomSettings(delay_seconds=5), RoomSettings(paused=True)
BOTH = RoomSettings(delay_seconds=5, paused=True)


def sender(capabilities: tuple[Capability, ...]) -> ChatTokenClaims:
    """Return who sends a message to the room."""
    return claims_of(room_arn=str(ROOM), capabilities=capabilities)


@pytest.mark.parametrize(
    ("settings", "viewer", "moderator", "behind"),
    [
        (DEFAULTS, False, False, (True, False)),
        (RoomSettings(frozen=True), False, False, (True, False)),
        (DELAYED, True, True, (True, True)),
        (PAUSED, True, False, (True, False)),
        (BOTH, True, False, (True, False)),
    ],
)
def test_what_waits(
    settings: RoomSettings, viewer: bool, moderator: bool, behind: tuple[bool, bool]
) -> None:
    """In a delay everybody's, in a pause viewers'; what comes behind something that waits does."""
    queues = HeldQueues(HandClock().clock)
    holding = Holding(queues)
    who = [sender(VIEWER), sender(MODERATOR)]
    assert [holding.holds(settings, each) for each in who] == [viewer, moderator]
    queues.add(HeldMessage(str(ROOM), "m1", "bob", 0, b"{}"))
    assert tuple(holding.holds(settings, each) for each in who) == behind
    elsewhere = Holding(queues, lambda: False)
    assert not any(elsewhere.holds(settings, each) for each in who)


@pytest.mark.parametrize("name", ["delaySeconds", "paused"])
def test_what_not_all_nodes_know_is_not_set(name: str) -> None:
    """Who sets it is told which; what ends it can be set at any time."""
    holding = Holding(HeldQueues(HandClock().clock), lambda: False)
    with pytest.raises(ConflictException, match=f"set {name} when") as refused:
        holding.check_possible({name: 1}, ROOM)
    assert (refused.value.resource_id, refused.value.resource_type) == (ROOM.id, "ROOM")
    holding.check_possible({name: 0, "frozen": True}, ROOM)
    Holding(HeldQueues(HandClock().clock)).check_possible({name: 1}, ROOM)
