"""Reviews as they go, for operators: how they ended, and what was said where that is allowed.

Two permissions, since they show different things: ListReviews shows who was reviewed, by what, how
that ended and how long it took; RevealReviews, which the audit log has, what was said.
"""

from greenroom.control.greenroom.answers import RevealAnswer
from greenroom.control.greenroom.call import GreenroomCall
from greenroom.review.base import REVEAL_SECONDS, ReviewsPage


async def list_reviews(call: GreenroomCall) -> ReviewsPage:
    """ListReviews: those after a cursor, without one the latest."""
    reviews = call.services.reviews
    return reviews.since(call.principal, call.optional_text("cursor"), call.optional_text("reveal"))


async def reveal_reviews(call: GreenroomCall) -> RevealAnswer:
    """RevealReviews: have what is said kept for a while, for the holder of the answer."""
    return RevealAnswer(call.services.reviews.reveal(call.principal), int(REVEAL_SECONDS))
