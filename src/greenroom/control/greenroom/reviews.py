"""Reviews as they go, for operators: how they ended, and what was said where that is allowed.

Two permissions, since they show different things: ListReviews shows who was reviewed, by what, how
that ended and how long it took; RevealReviews, which the audit log has, what was said.
"""

import msgspec

from greenroom.control.greenroom.answers import RevealAnswer
from greenroom.control.greenroom.call import GreenroomCall
from greenroom.model.errors import ValidationException
from greenroom.review.base import REVEAL_SECONDS, ReviewsPage


class _ListReviews(msgspec.Struct):
    cursor: str | None = None
    reveal: str | None = None


def parse_list(body: bytes) -> dict[str, object]:
    """Return the parameters of ListReviews.

    Raises:
        ValidationException: the body holds something else.
    """
    try:
        asked = msgspec.json.decode(body or b"{}", type=_ListReviews)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValidationException(
            "The body must be JSON; cursor and reveal are what an answer gave."
        ) from None
    return {"cursor": asked.cursor, "reveal": asked.reveal}


async def list_reviews(call: GreenroomCall) -> ReviewsPage:
    """ListReviews: those after a cursor, without one the latest."""
    reviews = call.services.reviews
    return reviews.since(call.account, call.optional_text("cursor"), call.optional_text("reveal"))


async def reveal_reviews(call: GreenroomCall) -> RevealAnswer:
    """RevealReviews: have what is said kept for a while, for the holder of the answer."""
    return RevealAnswer(call.services.reviews.reveal(call.account), int(REVEAL_SECONDS))
