"""The keys that seal chat tokens: listed, rotated, killed. Each is answered with all of them."""

from greenroom.control.greenroom.answers import TokenKeysAnswer
from greenroom.control.greenroom.call import GreenroomCall


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
