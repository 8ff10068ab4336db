"""CreateChatToken: everything the bearer may do travels in the token, sealed."""

from greenroom.control.ivschat.context import Call
from greenroom.control.pipeline import Result
from greenroom.model.chat_token import (
    DEFAULT_SESSION_MINUTES,
    TOKEN_VALIDITY_SECONDS,
    Capability,
    ChatTokenClaims,
)
from greenroom.tokens.key_ring import NONCE_BYTES, seal_claims

_MINUTE_MS = 60_000
_CAPABILITIES = {capability.value: capability for capability in Capability}


async def create_chat_token(call: Call) -> Result:
    """CreateChatToken: nothing is written; the room must exist."""
    arn = str(call.resource("roomIdentifier"))
    attributes = call.strings("attributes")
    services = call.services
    await services.rooms.get(arn)
    now = services.clock.now_ms()
    minutes = call.number("sessionDurationInMinutes", DEFAULT_SESSION_MINUTES)
    nonce = services.nonces(NONCE_BYTES)
    claims = ChatTokenClaims(
        token_id=nonce.hex(),
        room_arn=arn,
        user_id=call.text("userId"),
        capabilities=_capabilities(call),
        attributes=attributes,
        token_expires=now + TOKEN_VALIDITY_SECONDS * 1000,
        session_expires=now + minutes * _MINUTE_MS,
    )
    return {
        "token": seal_claims(services.ring, claims, nonce),
        "tokenExpirationTime": claims.token_expires,
        "sessionExpirationTime": claims.session_expires,
    }


def _capabilities(call: Call) -> tuple[Capability, ...]:
    names = dict.fromkeys(call.texts("capabilities"))
    return tuple([_CAPABILITIES[name] for name in names])
