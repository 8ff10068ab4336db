"""SendMessage: what a user says, without a connection of his, through all that a message passes."""

from greenroom.chat.posting import Asked
from greenroom.control.greenroom.call import GreenroomCall
from greenroom.control.pipeline import Result
from greenroom.model import token_attributes
from greenroom.model.arn import Arn
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.errors import (
    AccessDeniedException,
    FieldError,
    MessageRejectedException,
    ResourceNotFoundException,
    ServiceError,
    ThrottlingException,
    ValidationException,
)
from greenroom.model.message import ANNOUNCEMENT, attributes_problem
from greenroom.model.token_attributes import PREFIX, SERVICE_USER
from greenroom.protocol.actions import REPLY_TO, SendMessage
from greenroom.protocol.errors import ActionError, ErrorCode


async def send_message(call: GreenroomCall) -> Result:
    """SendMessage: the same `requestId` within ten minutes sends nothing more."""
    room, sender = call.room, _sender(call)
    style = call.optional_text("announcement")
    message = SendMessage(
        call.text("content"), _attributes(call), call.optional_text("requestId") or ""
    )
    asked = Asked(
        sender=sender,
        message=message,
        address=call.facts.source_ip or "",
        own={} if style is None else {ANNOUNCEMENT: style},
        request={name: each for name, each in call.parameters.items() if name != "requestId"},
    )
    try:
        sent = await call.services.posting.send(asked)
    except ActionError as error:
        raise _refused(error, room) from None
    return {"id": sent.message_id, "sendTime": sent.time_ns // 1_000_000}


def _sender(call: GreenroomCall) -> ChatTokenClaims:
    """Return what the token of a user would say who may do nothing but write."""
    announces = "announcement" in call.parameters
    user_id = call.optional_text("userId")
    shown, own = token_attributes.split(call.optional("senderAttributes", dict[str, str]) or {})
    errors = [*token_attributes.errors(own, "senderAttributes"), *_not_of_users(own)]
    if user_id == SERVICE_USER:
        errors.append(FieldError("userId", "is the service's own"))
    if user_id is None and not announces:
        errors.append(FieldError("userId", "is required but for announcements"))
    if problem := attributes_problem(shown):
        errors.append(FieldError("senderAttributes", problem))
    if errors:
        raise ValidationException.of_fields(*errors)
    skips = announces or call.optional("skipChecks", bool)
    return ChatTokenClaims(
        token_id="",
        room_arn=str(call.room),
        user_id=user_id or SERVICE_USER,
        capabilities=(Capability.SEND_MESSAGE, *([Capability.BYPASS] if skips else ())),
        attributes=shown,
        token_expires=0,
        session_expires=0,
        own=own,
    )


def _not_of_users(own: dict[str, str]) -> list[FieldError]:
    """Return what is wrong with attributes of ours that say nothing of a user."""
    rule = f"is none of {', '.join(PREFIX + each for each in token_attributes.ABOUT_USERS)}"
    return [
        FieldError(f"senderAttributes.{PREFIX}{name}", rule)
        for name in own
        if name in token_attributes.ATTRIBUTES and name not in token_attributes.ABOUT_USERS
    ]


def _attributes(call: GreenroomCall) -> dict[str, str] | None:
    attributes = call.optional("attributes", dict[str, str]) or {}
    errors = [
        FieldError(f"attributes.{key[:64]}", f"{PREFIX}… is the service's own")
        for key in attributes
        if key.startswith(PREFIX)
    ]
    if problem := attributes_problem(attributes):
        errors.append(FieldError("attributes", problem))
    if errors:
        raise ValidationException.of_fields(*errors)
    reply_to = call.optional_text("replyTo")
    if reply_to is not None:
        attributes = {**attributes, REPLY_TO: reply_to}
    return attributes or None


def _refused(error: ActionError, room: Arn) -> ServiceError:
    """Return the API's error for what refuses a message, with the words of its ERROR frame."""
    message = error.message
    if error.code == ErrorCode.FORBIDDEN:
        return AccessDeniedException(message)
    if error.code == ErrorCode.NOT_ACCEPTABLE:
        return MessageRejectedException(message)
    if error.code == ErrorCode.PAYLOAD_TOO_LARGE:
        rule = "must not be longer than the maximumMessageLength of the room"
        return ValidationException.of_fields(FieldError("content", rule))
    names = {"resource_id": room.id, "resource_type": room.type.wire_name}
    if error.code == ErrorCode.NOT_FOUND:
        return ResourceNotFoundException(message, **names)
    if error.code == ErrorCode.TOO_MANY_REQUESTS:
        return ThrottlingException(message, **names, limit=1)
    return ValidationException(message)
