"""The keys that seal chat tokens: listed, rotated, killed. Each is answered with all of them."""

import msgspec

from greenroom.control.greenroom.answers import TokenKeysAnswer
from greenroom.control.greenroom.call import GreenroomCall
from greenroom.model.errors import ValidationException


class _Kill(msgspec.Struct, rename="camel"):
    key_id: str


def parse_kill(body: bytes) -> dict[str, object]:
    """Return the parameters of KillTokenKey.

    Raises:
        ValidationException: the body says no key.
    """
    try:
        asked = msgspec.json.decode(body, type=_Kill)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValidationException("The body must be JSON with a keyId.") from None
    return {"keyId": asked.key_id}


async def list_token_keys(call: GreenroomCall) -> TokenKeysAnswer:
    """ListTokenKeys: the current one first, no key's bytes."""
    return TokenKeysAnswer(call.services.keys.describe())


async def rotate_token_key(call: GreenroomCall) -> TokenKeysAnswer:
    """RotateTokenKey: seal with a new key from now on."""
    await call.services.keys.rotate()
    return await list_token_keys(call)


async def kill_token_key(call: GreenroomCall) -> TokenKeysAnswer:
    """KillTokenKey: refuse what a key sealed, and end the connections made with it."""
    await call.services.keys.kill(call.text("keyId"))
    return await list_token_keys(call)
