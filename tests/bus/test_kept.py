"""What a store keeps of what a room has shown, and what is shown of that again."""

import pytest

from greenroom.bus.base import Audience, Deliver, History, Stage
from greenroom.bus.kept import envelope_of, held_of, kept_of

SHOWN = Deliver(
    b"payload",
    "SendMessage",
    Audience.SHADOWED,
    "bob",
    id="m1",
    time_ns=7,
    history=History.KEPT,
    marked=b"marked",
    author="ann",
    deletes=("m0",),
)


def test_it_is_shown_again_as_it_was() -> None:
    """What else it did is done: it is not recorded once more, and counts for no rate."""
    did = ("arn:logs",), 5, Stage.RELEASED
    shown = Deliver(
        **{each: getattr(SHOWN, each) for each in SHOWN.__struct_fields__}
        | dict(zip(("configurations", "rate", "stage"), did, strict=True))
    )
    assert envelope_of(kept_of(shown)) == SHOWN


@pytest.mark.parametrize(("stage", "shadowed"), [(Stage.WAITS, False), (Stage.APART, True)])
def test_what_waits_is_kept_for_who_will_see_it(stage: Stage, *, shadowed: bool) -> None:
    """Everybody, or its author and moderators alone."""
    held = held_of("room", Deliver(b"p", "SendMessage", id="m1", author="ann", stage=stage))
    assert (held.room, held.id, held.author, held.payload) == ("room", "m1", "ann", b"p")
    assert held.is_shadowed is shadowed
