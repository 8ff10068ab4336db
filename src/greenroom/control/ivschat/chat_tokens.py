"""CreateChatToken: everything the bearer may do travels in the token, sealed."""

from collections.abc import Mapping

from greenroom.control.ivschat.context import Call
from greenroom.control.pipeline import Result
from greenroom.model import token_attributes
from greenroom.model.chat_token import (
    DEFAULT_SESSION_MINUTES,
    TOKEN_VALIDITY_SECONDS,
    Capability,
    ChatTokenClaims,
)
from greenroom.model.errors import AccessDeniedException, FieldError, ValidationException
from greenroom.model.restriction import Restriction
from greenroom.tokens.key_ring import NONCE_BYTES, seal_claims

_MINUTE_MS = 60_000
_CAPABILITIES = {capability.value: capability for capability in Capability}


async def create_chat_token(call: Call) -> Result:
    """CreateChatToken: nothing is written; the room must exist."""
    arn = str(call.resource("roomIdentifier"))
    attributes, own = token_attributes.split(call.strings("attributes"))
    user_id = _user_id(call)
    if own and (errors := token_attributes.errors(own)):
        raise ValidationException.of_fields(*errors)
    services = call.services
    room = await services.rooms.get(arn)
    ban = services.restrictions.ban(room.arn, user_id)
    if ban is not None:
        raise AccessDeniedException(_banned(ban))
    now = services.clock.now_ms()
    minutes = call.number("sessionDurationInMinutes", DEFAULT_SESSION_MINUTES)
    nonce = services.nonces(NONCE_BYTES)
    claims = ChatTokenClaims(
        token_id=nonce.hex(),
        room_arn=arn,
        user_id=user_id,
        capabilities=_capabilities(call, own),
        attributes=attributes,
        token_expires=now + TOKEN_VALIDITY_SECONDS * 1000,
        session_expires=now + minutes * _MINUTE_MS,
        own=own,
    )
    return {
        "token": seal_claims(services.ring, claims, nonce),
        "tokenExpirationTime": claims.token_expires,
        "sessionExpirationTime": claims.session_expires,
    }


def _banned(ban: Restriction) -> str:
    where = "the account" if ban.is_of_account else "the room"
    until = f" until {ban.until()}" if ban.expires else ""
    reason = f": {ban.reason}" if ban.reason else ""
    return f"User {ban.user_id} is banned from {where}{until}{reason}"


def _user_id(call: Call) -> str:
    user_id = call.text("userId")
    if user_id == token_attributes.SERVICE_USER:
        raise ValidationException.of_fields(FieldError("userId", "is the service's own"))
    return user_id


def _capabilities(call: Call, own: Mapping[str, str]) -> tuple[Capability, ...]:
    given = tuple([_CAPABILITIES[name] for name in dict.fromkeys(call.texts("capabilities"))])
    return tuple(dict.fromkeys((*given, *token_attributes.capabilities(own)))) if own else given
