"""ListMessages: what a room with history keeps, for who moderates it or shows it elsewhere."""

from datetime import datetime

from greenroom.bus.base import Audience
from greenroom.control.greenroom.call import GreenroomCall
from greenroom.control.pipeline import Result
from greenroom.model.errors import FieldError, ValidationException
from greenroom.protocol.received import ChatMessage, decode
from greenroom.storage.history import Query, StoredFrame

DEFAULT_PAGE = 50

_DIGITS = 18


async def list_messages(call: GreenroomCall) -> Result:
    """ListMessages: the newest first, or with `since` what is behind it, the oldest first."""
    room = await call.services.rooms.get(call.room)
    since, before = call.optional_text("since") or "", call.optional_text("before") or ""
    if since and before:
        raise ValidationException.of_fields(FieldError("before", "must not be given with since"))
    following = _number(call)
    begin, end = _time_ns(call, "from"), _time_ns(call, "to")
    if begin and end and begin > end:
        raise ValidationException.of_fields(FieldError("to", "must not be before from"))
    query = Query(
        least=following if since else 0,
        most=0 if since else following,
        from_ns=begin,
        to_ns=end,
        author=call.optional_text("userId") or "",
        with_deleted=bool(call.optional("includeDeleted", bool)),
        root=call.optional_text("replyRoot") or "",
    )
    limit = call.number("maxResults", DEFAULT_PAGE)
    settings = call.services.settings.in_force(room)
    page = await call.services.kept_messages.page(
        str(call.room), settings, query, limit, since=since, before=before
    )
    result: Result = {"messages": [_described(each) for each in page.messages]}
    if page.next:
        result["nextToken"] = str(page.next)
    if page.recovered is not None:
        result["recovered"] = page.recovered
    return result


_LATEST_NS = 2**63 - 1
"""The latest time that a store knows, in 2262: nothing was sent later."""


def _time_ns(call: GreenroomCall, name: str) -> int:
    """Return a time in nanoseconds since the epoch, 0 where it is absent."""
    text = call.optional_text(name)
    if text is None:
        return 0
    rule = "must be a time with a time zone, such as 2026-01-31T12:00:00Z"
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return min(max(1, int(time.timestamp() * 1_000_000) * 1_000), _LATEST_NS)
    except (ValueError, OverflowError):
        pass
    raise ValidationException.of_fields(FieldError(name, rule))


def _number(call: GreenroomCall) -> int:
    token = call.optional_text("nextToken") or "0"
    if not (token.isascii() and token.isdigit() and len(token) <= _DIGITS):
        rule = "must be one that was answered"
        raise ValidationException.of_fields(FieldError("nextToken", rule))
    return int(token)


def _described(stored: StoredFrame) -> Result:
    message = decode(stored.frame.payload)
    assert isinstance(message, ChatMessage)  # noqa: S101 - only messages are asked for
    return {
        "id": message.id,
        "sendTime": stored.frame.time_ns // 1_000_000,
        "content": message.content,
        "attributes": message.attributes or {},
        "sender": {
            "userId": message.sender.user_id,
            "attributes": message.sender.attributes or {},
        },
        "state": _state(stored),
    }


def _state(stored: StoredFrame) -> str:
    if stored.is_deleted:
        return "DELETED"
    return "SHADOWED" if stored.frame.audience == Audience.SHADOWED else "SHOWN"
