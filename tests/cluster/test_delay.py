"""The checks of the killer's room that delays notice what they are for."""

from collections.abc import Sequence
from contextlib import nullcontext

import msgspec
import pytest

from greenroom.bus.base import Audience, Deliver, Stage
from greenroom.bus.base import History as Kept
from greenroom.chat.held_queues import held
from tests.cluster.killing import delay, invariants
from tests.cluster.killing.delay import DELETED, DISCARDED
from tests.cluster.killing.history import Call, History, Send, View
from tests.cluster.killing.invariants import Place

SECOND = 1_000_000_000


def places(text: str, history: History | None = None) -> list[Place]:
    """Return a stream, a second apart: `a` waits, `A` is its release, `-a` deletes it, `=a` not."""
    made: list[Deliver] = []
    for word in text.split():
        name = word[-1].lower()
        shown = Deliver(b'{"RequestId":"%s"}' % name.encode(), "SendMessage", id=name)
        if word[0] == "-":
            frame = b'{"EventName":"aws:DELETE_MESSAGE"}'
            made.append(Deliver(frame, "DeleteMessage", id=word, deletes=(name,)))
        elif word[0] == "=":
            made.append(shown)
        elif word.isupper():
            made.append(msgspec.structs.replace(shown, stage=Stage.RELEASED))
        else:
            made.append(held(shown, f"author-{name}"))
    began = history.wall_ns(0) if history else 0
    return [Place(began + at * SECOND, each) for at, each in enumerate(made)]


def test_each_is_there_twice_and_released_once() -> None:
    """What waits and its release are one message; two releases are one too many."""
    invariants.stored_once({"room": places("a b A B")})
    with pytest.raises(AssertionError, match="what is released stored more than once"):
        invariants.stored_once({"room": places("a A A")})
    send = Send("room", "node-1", "a", 5, 0, 1, 503, SECOND)
    invariants.outcomes_are_true([send], {"room": places("a b A")})


def test_what_does_not_wait() -> None:
    """A message that is for all at once is noticed."""
    delay.waits_all(places("a -a b B"))
    with pytest.raises(AssertionError, match="it did not wait: b"):
        delay.waits_all(places("a =b A"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b B A", "behind one that came later"),
        ("A", "did not wait"),
        ("a -a A", "did not wait"),
        ("a A A", "did not wait"),
    ],
)
def test_releases(text: str, message: str) -> None:
    """Another order, a second one, and one of what was deleted are noticed."""
    delay.released_as_accepted(places("a b c -b A d C -a D"))
    with pytest.raises(AssertionError, match=message):
        delay.released_as_accepted(places(text))


def test_other_bytes() -> None:
    """A release that is not what waited is noticed."""
    first, last = places("a A")
    other = Place(last.stamp_ns, msgspec.structs.replace(last.envelope, payload=b"{}"))
    with pytest.raises(AssertionError, match="as something else"):
        delay.released_as_accepted([first, other])


def test_what_is_left() -> None:
    """What is neither released nor deleted."""
    assert delay.left(places("a b c -b A")) == ["c"]


@pytest.mark.parametrize(
    ("result", "subject"), [(DELETED, "a"), (DISCARDED, "room")], ids=["deleted", "discarded"]
)
def test_what_was_deleted(result: str, subject: str) -> None:
    """A release behind the answer of who deleted it is noticed; one before is not."""
    history = History()

    def call(started: float, ended: float, status: int = 200) -> Call:
        return Call("operation", "node-1", subject, started, ended, status, result)

    stored = places("a b A B", history)
    right = [call(-0.5, -0.1), call(0.5, 2.5), call(0.5, 1.5, status=0)]
    right = right if result == DISCARDED else right[1:]
    delay.deleted_is_not_shown(stored, right, history)
    with pytest.raises(AssertionError, match="released in spite of"):
        delay.deleted_is_not_shown(stored, [call(0.5, 1.5)], history)


def test_what_viewers_are_not_told() -> None:
    """A deletion of what they were shown that moderators alone hear of is noticed."""
    history = History()

    def hidden(place: Place) -> Place:
        secret = msgspec.structs.replace(place.envelope, audience=Audience.SHADOWED)
        return Place(place.stamp_ns, secret)

    *shown, first, second = places("a b -b A -a -a", history)
    early = hidden(shown[2])
    delay.viewers_are_told([*shown[:2], early, shown[3], hidden(first), second], [], history)
    stored = [*shown, hidden(first)]
    delay.viewers_are_told(
        stored, [Call("operation", "node-1", "room", 1, 6, 503, DISCARDED)], history
    )
    with pytest.raises(AssertionError, match="behind the backs"):
        delay.viewers_are_told(
            stored, [Call("operation", "node-1", "room", 1, 6, 200, DISCARDED)], history
        )


RIGHT = [
    ("viewer", "A -b C"),
    ("viewer", "-b C"),
    ("author-a", "a -b C"),
    ("author-a", "A -b C"),
    ("author-d", "C d"),
    ("moderator", "a b c -b d"),
    ("moderator", "c A -b d"),
]
WRONG = [
    ("viewer", "A C"),
    ("viewer", "A -b C C"),
    ("viewer", "b -b"),
    ("author-a", "a A"),
    ("moderator", "a b c A"),
    ("moderator", "A -b d"),
]


@pytest.mark.parametrize(
    ("user", "ids", "is_right"),
    [*((*each, True) for each in RIGHT), *((*each, False) for each in WRONG)],
)
def test_views(user: str, ids: str, is_right: bool) -> None:
    """A gap, a repetition, and what was early or is no more are noticed, each for who it is.

    Who saw a message early does not see it again; who came meanwhile does.
    """
    names = [each if each[0] == "-" else each.lower() for each in ids.split()]
    view = View("room", user, "node-1", 0, names, 9, moderates=user == "moderator")
    judged = nullcontext() if is_right else pytest.raises(AssertionError, match="node-1")
    with judged:
        delay.views_are_parts([view], {"room": places("a b c A -b C d")})


def test_who_is_not_shown_the_last() -> None:
    """Whoever stays to the end has seen all that everybody was to be shown by then."""
    stored = {"room": places("a A b B")}

    def check(closed: float | None, shown_ns: int) -> None:
        view = View("room", "viewer", "node-1", 0, ["a"], closed)
        delay.views_are_parts([view], stored, 10, shown_ns)

    check(9, 3 * SECOND)
    check(None, 3 * SECOND - 1)
    for closed in (None, 10.1):
        with pytest.raises(AssertionError, match="b is missing"):
            check(closed, 3 * SECOND)


def test_what_a_room_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest, without what was deleted; with too many deletions beside them fewer."""
    monkeypatch.setattr(delay, "MOST_DELETIONS", 2)

    def kept(text: str) -> list[Place]:
        return [
            msgspec.structs.replace(
                each,
                envelope=msgspec.structs.replace(
                    each.envelope, history=Kept.PASSING if each.envelope.stage.waits else Kept.KEPT
                ),
            )
            for each in places(text)
        ]

    assert delay.remembered(kept("a =b A =c -x -y"), 2) == ["a", "c"]
    assert delay.remembered(kept("=a =b -x -y"), 2) == ["a", "b"]
    assert delay.remembered(kept("=a =b -x -y -z"), 2) == ["b"]
    assert delay.remembered(kept("=a =b =c -b"), 2) == ["c"]


def test_what_history_keeps() -> None:
    """What everybody was shown, and no event."""
    kept: Sequence[Place] = [each for each in places("a =b A -a") if delay.is_kept(each)]
    assert [each.id for each in kept] == ["b", "a"]
