"""Read the bodies of requests: each within its bound, and all of them together within another.

A body is read before anybody knows who sends it: the signature covers it. So that strangers cannot
fill the memory, what a body has beyond `FREE_BYTES` is taken from a store for all bodies that are
being read; requests of any usual size need none of it. A body for which nothing is left is read to
its end, without being kept, and refused.
"""

from greenroom.control.asgi import Receive
from greenroom.model.errors import (
    RequestEntityTooLargeException,
    ServiceUnavailableException,
    ValidationException,
)

BODY_BYTES = 1_048_576
"""The largest request body. The largest valid one, 50 full tags all escaped, has about 230 KB."""

FORM_BYTES = 393_216
"""The largest form of IAM and STS: 131,072 characters of policies, all escaped."""

DISCARDED_BYTES = 67_108_864
"""How much of a body that is refused is read before the refusal goes out."""

FREE_BYTES = 16_384
"""What each body may have without a place in the store for all."""


class TooManyBodies(ServiceUnavailableException):
    """The bodies that are being read have no place for this one."""

    @property
    def code(self) -> str:
        return "ServiceUnavailableException"


class Bodies:
    """The bodies that are being read; 0 bytes for all of them together is no bound."""

    def __init__(self, together: int = 0) -> None:
        self._bound = together
        self.held = 0
        """Bytes taken by the bodies that are being read now."""

    async def read(self, receive: Receive, most: int = BODY_BYTES) -> bytes:
        """Return the body. One that is refused is read to its end, or to `DISCARDED_BYTES`.

        A connection that is closed with bytes unread is reset: the client would not see the answer.

        Raises:
            ValidationException: it did not come whole.
            RequestEntityTooLargeException: it has more than `most` bytes.
            TooManyBodies: there is no place for it now.
        """
        kept, size, taken, more, fits = bytearray(), 0, 0, True, True
        try:
            while more and size <= DISCARDED_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ValidationException("The request ended before its body was complete.")
                part = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(part)
                wanted = max(0, min(size, most) - FREE_BYTES) - taken
                if fits and self._bound and self.held + wanted > self._bound:
                    fits = False
                if fits and size <= most:
                    self.held += wanted
                    taken += wanted
                    kept += part
                else:
                    kept.clear()
                    self.held -= taken
                    taken = 0
        finally:
            self.held -= taken
        if size > most:
            raise RequestEntityTooLargeException(f"The request body is larger than {most} bytes.")
        if not fits:
            raise TooManyBodies("Too many requests with large bodies at once.")
        return bytes(kept)
