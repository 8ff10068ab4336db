"""The latest reviews: bounded, in order, of the asker's account, and without what was said."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from greenroom.identities.callers import root_principal
from greenroom.model.principal import Principal
from greenroom.review.base import REVEAL_SECONDS, Allowed, Denied, Submission, Verdict
from greenroom.review.recent import KEPT, LATEST, LOOKING, PAGE, TIMER_SECONDS, RecentReviews
from tests.review.test_answers import SUBMISSION
from tests.stand_ins.hand_clock import HandClock

ROOT = root_principal(SUBMISSION.room_arn.split(":")[4])
OTHER = root_principal("210987654321")
ANNA = msgspec.structs.replace(ROOT, arn=f"arn:aws:iam::{ROOT.account}:user/anna")
ALLOWED = Allowed(SUBMISSION.content, SUBMISSION.attributes)


class Reviews(RecentReviews):
    """Reviews with a clock that a test moves."""

    def __init__(self) -> None:
        self.time = HandClock()
        self.timers: list[tuple[float, Callable[[], None]]] = []
        super().__init__(self.time.clock, lambda *timer: self.timers.append(timer))

    def take(
        self,
        verdict: Verdict | None = ALLOWED,
        submission: Submission = SUBMISSION,
        outcome: str = "allowed",
    ) -> None:
        """Note a review that took 12.34 milliseconds."""
        final = verdict or Denied()
        self.add(submission, "arn:f", outcome, verdict, final=final, seconds=0.01234)


def test_how_a_review_went() -> None:
    """Who, which handler, how it ended, how long it took, when; and whether the message changed."""
    reviews = Reviews()
    reviews.take()
    reviews.take(Allowed("edited", None))
    reviews.take(None, outcome="timed_out")
    first, edited, fell_back = reviews.since(ROOT, None, None).reviews
    assert (first.message_id, first.user_id, first.handler) == (
        SUBMISSION.message_id,
        SUBMISSION.user_id,
        "arn:f",
    )
    assert (first.verdict, first.outcome, first.milliseconds) == ("ALLOW", "allowed", 12.3)
    assert first.time == "2023-11-14T22:13:19.987Z"
    assert (first.by_fallback, first.edited, edited.edited) == (False, False, True)
    assert (fell_back.verdict, fell_back.by_fallback) == ("DENY", True)
    assert fell_back.outcome == "timed_out"


def test_who_follows_misses_nothing_and_sees_nothing_twice() -> None:
    """A cursor is where the next ones begin; without one the latest are shown."""
    reviews = Reviews()
    for _ in range(LATEST + 5):
        reviews.take()
    page = reviews.since(ROOT, None, None)
    assert len(page.reviews) == LATEST
    assert reviews.since(ROOT, page.cursor, None) == msgspec.structs.replace(page, reviews=[])
    for number in range(PAGE + 1):
        reviews.take(submission=msgspec.structs.replace(SUBMISSION, message_id=str(number)))
    seen = []
    for _ in range(2):
        page = reviews.since(ROOT, page.cursor, None)
        seen += [each.message_id for each in page.reviews]
    assert seen == [str(number) for number in range(PAGE + 1)]


def test_what_is_kept_is_bounded() -> None:
    """Whoever was too slow is told how many he missed."""
    reviews = Reviews()
    cursor = reviews.since(ROOT, None, None).cursor
    for _ in range(KEPT + 7):
        reviews.take()
    page = reviews.since(ROOT, cursor, None)
    assert (page.missed, len(page.reviews)) == (7, PAGE)


def test_cursors_that_are_none() -> None:
    """One of another process, or one that somebody made up, is as none."""
    reviews = Reviews()
    reviews.take()
    for cursor in ("", "other:0", "x", f"{reviews._name}:", f"{reviews._name}:²", "a:b:c"):
        assert len(reviews.since(ROOT, cursor, None).reviews) == 1
    beyond = reviews.since(ROOT, f"{reviews._name}:{'9' * 400}", None)
    assert (beyond.missed, list(beyond.reviews)) == (0, [])


def test_what_was_said_is_kept_for_those_who_look() -> None:
    """Nothing is kept before or after, and it is shown to who asked for it, and nobody else."""
    reviews = Reviews()
    reviews.take()
    reveal = reviews.reveal(ROOT)
    reviews.take(Denied("rude"))

    def shown(principal: Principal, name: str | None) -> list[bool]:
        return [each.shown is not None for each in reviews.since(principal, None, name).reviews]

    assert shown(ROOT, reveal) == [False, True]
    assert shown(ROOT, None) == shown(ROOT, "guessed") == [False, False]
    said = reviews.since(ROOT, None, reveal).reviews[1].shown
    assert said is not None
    assert (said.content, said.answered_content, said.reason) == (SUBMISSION.content, None, "rude")
    reviews.time.advance(REVEAL_SECONDS)
    assert shown(ROOT, reveal) == [False, False]
    reviews.take()
    assert shown(ROOT, reviews.reveal(ROOT)) == [False, False, False]


def test_nobody_sees_what_was_said_before_he_asked() -> None:
    """It was kept for another operator, who still looks."""
    reviews = Reviews()
    early = reviews.reveal(ROOT)
    reviews.take()
    late = reviews.reveal(ANNA)
    reviews.take()
    for who, reveal, sees in ((ROOT, early, [True, True]), (ANNA, late, [False, True])):
        seen = reviews.since(who, None, reveal).reviews
        assert [each.shown is not None for each in seen] == sees


def test_a_reveal_is_good_for_who_asked() -> None:
    """Another principal of the account sees nothing by it."""
    reviews = Reviews()
    reveal = reviews.reveal(ROOT)
    reviews.take()
    assert reviews.since(ANNA, None, reveal).reviews[0].shown is None


def test_who_asks_again_sees_on_without_a_gap() -> None:
    """What was said between the last page and the next reveal is his to see."""
    reviews = Reviews()
    reviews.reveal(ROOT)
    reviews.take()
    reviews.time.advance(REVEAL_SECONDS * 0.8)
    again = reviews.reveal(ROOT)
    reviews.time.advance(REVEAL_SECONDS * 0.5)
    assert reviews.since(ROOT, None, again).reviews[0].shown is not None


@pytest.mark.parametrize("then", ["since", "add", "reveal", "timer"])
def test_what_was_said_is_forgotten(then: str) -> None:
    """When the last one's time is over, whoever calls next, or nobody but the timer."""
    reviews = Reviews()
    reviews.reveal(ROOT)
    reviews.time.advance(REVEAL_SECONDS / 2)
    reviews.reveal(ROOT)
    reviews.take()
    ((seconds, look_again),) = reviews.timers
    reviews.time.advance(seconds - REVEAL_SECONDS / 2)
    look_again()
    assert reviews._kept[0].shown is not None
    ((seconds, look_again),) = reviews.timers[1:]
    reviews.time.advance(seconds)
    if then == "since":
        reviews.since(OTHER, None, None)
    elif then == "add":
        reviews.take()
    elif then == "reveal":
        reviews.reveal(ROOT)
    else:
        look_again()
        assert len(reviews.timers) == 2
    assert [each.shown for each in reviews._kept] == [None] * len(reviews._kept)


def test_each_looks_for_his_own_time() -> None:
    """Who began earlier ends earlier, and takes it from nobody."""
    reviews = Reviews()
    early = reviews.reveal(ROOT)
    reviews.time.advance(REVEAL_SECONDS / 2)
    late = reviews.reveal(ROOT)
    reviews.time.advance(REVEAL_SECONDS / 2)
    reviews.take()
    for reveal, sees in ((early, False), (late, True)):
        (seen,) = reviews.since(ROOT, None, reveal).reviews
        assert (seen.shown is not None) is sees


def test_accounts_are_apart() -> None:
    """Another account sees none of it, nor can it use what another one was given."""
    reviews = Reviews()
    reveal = reviews.reveal(OTHER)
    reviews.take()
    assert list(reviews.since(OTHER, None, None).reviews) == []
    (seen,) = reviews.since(ROOT, None, reveal).reviews
    assert seen.shown is None


def test_those_who_look_are_bounded() -> None:
    """At the bound the first one must ask again."""
    reviews = Reviews()
    first, *_, last = [reviews.reveal(ROOT) for _ in range(LOOKING + 1)]
    reviews.take()
    assert reviews.since(ROOT, None, first).reviews[0].shown is None
    assert reviews.since(ROOT, None, last).reviews[0].shown is not None
    assert len(reviews._reveals) == LOOKING


def test_a_timer_is_set_again() -> None:
    """As long as somebody may look, to the end of his time; and for whoever asks later."""
    reviews = Reviews()
    reviews.reveal(ROOT)
    ((seconds, again),) = reviews.timers
    assert seconds == pytest.approx(REVEAL_SECONDS + TIMER_SECONDS)
    reviews.time.advance(REVEAL_SECONDS - 0.5)
    again()
    assert reviews.timers[1][0] == pytest.approx(0.5 + TIMER_SECONDS)
    reviews.time.advance(1)
    again()
    assert len(reviews.timers) == 2
    reviews.reveal(ROOT)
    assert len(reviews.timers) == 3


async def test_the_loops_own_timer() -> None:
    """Without another one it is the event loop's."""
    called = asyncio.Event()
    RecentReviews(HandClock().clock)._call_later(0.0, called.set)
    async with asyncio.timeout(10):
        await called.wait()
