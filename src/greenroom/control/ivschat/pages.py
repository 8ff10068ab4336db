"""Page tokens: opaque, sealed, bound to their listing, its filters and its caller."""

from hashlib import sha256
from typing import TypeVar

import msgspec

from greenroom.clock import SMALL_STEP_MS, is_set_back
from greenroom.control.ivschat.context import Call
from greenroom.model.errors import FieldError, ValidationException
from greenroom.storage.rooms import LIST_LIFETIME_MS
from greenroom.tokens.key_ring import NONCE_BYTES, PAGE_PURPOSE, KeyUnknown, TokenRejected

Cursor = TypeVar("Cursor")


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    listing: bytes
    started: int
    cursor: msgspec.Raw


class PageToken:
    """The `nextToken` of one listing request: the one that came, and the one that goes."""

    def __init__(self, call: Call, operation: str, filters: object = None) -> None:
        self._call = call
        listing = (operation, call.account, call.region, filters)
        self._listing = sha256(msgspec.msgpack.encode(listing)).digest()
        self._started = call.services.clock.now_ms()

    async def after(self, cursor_type: type[Cursor]) -> Cursor | None:
        """Return where the request's token continues; None for a first page.

        Raises:
            ValidationException: the token is not of this listing, or too old.
            StorageUnavailable: its key is not known, and cannot be looked for.
        """
        text = self._call.optional_text("nextToken")
        if not text:
            return None
        try:
            payload = await self._opened(text)
            sealed = msgspec.msgpack.decode(payload, type=_Sealed)
        except (TokenRejected, msgspec.DecodeError):
            raise _refused("is not a token that this service gave") from None
        if sealed.listing != self._listing:
            raise _refused("belongs to another listing, or one with other filters")
        now = self._call.services.clock.now_ms()
        if now - sealed.started > LIST_LIFETIME_MS:
            raise _refused("is older than one hour; begin the listing again")
        if is_set_back(sealed.started, now, SMALL_STEP_MS):
            # What it needs is kept for an hour by a clock that is no longer its own.
            raise _refused("was given before the clock was set back; begin the listing again")
        self._started = sealed.started
        return msgspec.msgpack.decode(sealed.cursor, type=cursor_type)

    async def _opened(self, text: str) -> bytes:
        services = self._call.services
        try:
            return services.ring.open(PAGE_PURPOSE, text)
        except KeyUnknown:
            await services.read_keys()
            return services.ring.open(PAGE_PURPOSE, text)

    def following(self, cursor: object) -> str:
        """Return the token of the page after this one."""
        sealed = _Sealed(self._listing, self._started, msgspec.Raw(msgspec.msgpack.encode(cursor)))
        services = self._call.services
        return services.ring.seal(
            PAGE_PURPOSE, msgspec.msgpack.encode(sealed), services.nonces(NONCE_BYTES)
        )


def _refused(why: str) -> ValidationException:
    return ValidationException.of_fields(FieldError("nextToken", why))
