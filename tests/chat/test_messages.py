"""What a message is when it has its place: for whom it is kept, and who is noted as its sender."""

import pytest

from greenroom.bus.base import History
from greenroom.chat.messages import message
from greenroom.chat.outcome import Post
from greenroom.model.room_settings import RoomSettings
from tests.stand_ins.stage import claims_of
from tests.stand_ins.values import a_room


@pytest.mark.parametrize("kept", [0, 1, 100])
@pytest.mark.parametrize(("user", "text", "noted"), [(0, 0, ""), (7, 0, "ann"), (0, 7, "ann")])
def test_what_a_room_keeps_and_remembers(kept: int, user: int, text: int, noted: str) -> None:
    """A room with history keeps it with its author; slow mode and repetitions need its sender."""
    settings = RoomSettings(history_messages=kept)
    post = Post("m1", settings=settings, user=user, text=text, time_ns=5)
    room = a_room("arn:logs")
    shown = message(room, post, claims_of(), "r", "hi", None, 10)
    assert (shown.history, shown.author) == ((History.KEPT, "ann") if kept else (History.NONE, ""))
    assert shown.user_id == noted
    assert (shown.id, shown.time_ns, shown.rate) == ("m1", 5, 10)
    assert shown.configurations == ("arn:logs",)
