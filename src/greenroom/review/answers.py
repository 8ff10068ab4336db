"""The event that a handler is given, and the answer that it must give, as JSON.

Source: Chat User Guide, "Chat Message Review Handler". What an answer may be:

- `ReviewResult` is ALLOW or DENY, and required.
- `Content` of an ALLOW is delivered: 1 code point at least, at most as many as the room allows.
  That of a DENY is not looked at.
- `Attributes` map strings to strings, 1 KB at most, and take the place of the message's: without
  them the message has none. Those of a DENY may hold the `Reason`.
- A member that is null counts as absent, of two with one name the last counts, names that are not
  in this list are ignored.

Any other answer is invalid, and the room's `fallbackResult` decides.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from greenroom.model.message import attributes_problem
from greenroom.review.base import Allowed, Denied, Submission

ANSWER_BYTES = 65_536
"""The largest answer; the largest valid one, all of it escaped, has about 15 KB."""


class AnswerInvalid(Exception):
    """An answer breaks the contract; the text says which rule, and holds nothing of the answer."""


def encode_event(submission: Submission) -> bytes:
    """Return the event, its members in the documented order; attributes are always a map."""
    sender = _Sender(submission.sender_attributes, submission.user_id, submission.ip)
    return _encode(
        _Event(
            submission.content,
            submission.message_id,
            submission.room_arn,
            submission.attributes or {},
            sender,
        )
    )


def decode_answer(body: bytes, maximum_length: int) -> Allowed | Denied:
    """Return what the handler says; `maximum_length` is the room's, in code points.

    Raises:
        AnswerInvalid: the answer breaks the contract.
    """
    if len(body) > ANSWER_BYTES:
        raise AnswerInvalid(f"it is larger than {ANSWER_BYTES} bytes")
    answer = _decoded(body)
    if answer.attributes is not None:
        problem = attributes_problem(answer.attributes)
        if problem is not None:
            raise AnswerInvalid(f"Attributes: {problem}")
    if answer.review_result == "DENY":
        return Denied((answer.attributes or {}).get("Reason") or None)
    if not answer.content:
        raise AnswerInvalid("Content is required with ALLOW, and must not be empty")
    if len(answer.content) > maximum_length:
        raise AnswerInvalid("Content is longer than the room allows")
    return Allowed(answer.content, answer.attributes)


class _Sender(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    attributes: Mapping[str, str]
    user_id: str
    ip: str


class _Event(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    content: str
    message_id: str
    room_arn: str
    attributes: Mapping[str, str]
    sender: _Sender


class _Answer(msgspec.Struct, frozen=True, rename="pascal"):
    review_result: Literal["ALLOW", "DENY"]
    content: str | None = None
    attributes: dict[str, str] | None = None


_encode = msgspec.json.Encoder().encode
_DECODER = msgspec.json.Decoder(_Answer)


def _decoded(body: bytes) -> _Answer:
    try:
        body.decode()
        return _DECODER.decode(body)
    except msgspec.ValidationError as error:
        # The text names types and the place among our own names, never a value.
        raise AnswerInvalid(_rule(error)) from None
    except (ValueError, RecursionError):
        raise AnswerInvalid("it is not valid JSON") from None


def _rule(error: msgspec.ValidationError) -> str:
    """Return the rule that was broken; a wrong word in ReviewResult would be quoted."""
    text = str(error)
    if text.endswith("`$.ReviewResult`"):
        return "ReviewResult must be ALLOW or DENY"
    return text
