"""Which frames each view is shown, and which of them are for a user by his name."""

import pytest

from greenroom.bus.base import Audience, Deliver
from greenroom.messaging.views import is_by_name, payload_for
from greenroom.protocol.wishes import View

PLAIN, EVENTS, MODERATORS = View.PLAIN, View.EVENTS, View.MODERATORS

SHOWN: dict[Audience, tuple[set[View], set[View]]] = {
    Audience.EVERYBODY: ({PLAIN, EVENTS, MODERATORS}, {PLAIN, EVENTS, MODERATORS}),
    Audience.PLAIN: ({PLAIN}, {PLAIN}),
    Audience.EVENTS: ({EVENTS, MODERATORS}, {EVENTS, MODERATORS}),
    Audience.MODERATORS: ({MODERATORS}, {MODERATORS}),
    Audience.SENDER: (set(), {PLAIN, EVENTS, MODERATORS}),
    Audience.YOU: (set(), {EVENTS, MODERATORS}),
    Audience.SHADOWED: ({MODERATORS}, {PLAIN, EVENTS, MODERATORS}),
}
"""The views that are shown what is for an audience: others, and the user whom it names."""


@pytest.mark.parametrize("audience", Audience)
@pytest.mark.parametrize("marked", [b"", b"marked"])
def test_who_is_shown_what(audience: Audience, marked: bytes) -> None:
    """Moderators see a mark, and so does the user whom an event is about; all see the same else."""
    envelope = Deliver(b"x", "SendMessage", audience, "ann", marked=marked)
    for user_id, views in zip((None, "ann"), SHOWN[audience], strict=True):
        shown = {view: payload_for(envelope, view, user_id) for view in View}
        assert {view for view, payload in shown.items() if payload is not None} == views
        about_him = user_id is not None and audience is Audience.EVENTS
        sees_marks = {view for view in views if marked and (view is MODERATORS or about_him)}
        assert {view for view, payload in shown.items() if payload == b"marked"} == sees_marks


def test_what_is_for_a_user_by_name() -> None:
    """Where he is shown what others in his view are not, or otherwise; else all are alike."""
    named = {each for each in Audience if is_by_name(Deliver(b"x", "SendEvent", each, "ann"))}
    assert named == {Audience.SENDER, Audience.YOU, Audience.SHADOWED, Audience.EVENTS}
    nobody = {each for each in Audience if is_by_name(Deliver(b"x", "SendEvent", each))}
    assert nobody == {Audience.SENDER, Audience.YOU, Audience.SHADOWED}
