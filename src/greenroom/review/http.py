"""An HTTP endpoint of the operator's as a target.

- Each request carries `Greenroom-Signature: t=SECONDS,v1=HEX`: the time, and the HMAC-SHA256 under
  the shared secret of the time, a dot and the body. An endpoint that looks at both cannot be fed
  requests of others, nor old ones again.
- A connection goes to an address that was checked, and to no other: the name is resolved here, and
  what it resolves to must be public or listed by the operator.
- No redirect is followed, no proxy is used, no cookie kept.
"""

import hmac
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from greenroom import __version__
from greenroom.clock import Clock
from greenroom.review.addresses import Network, is_permitted
from greenroom.review.client import Client
from greenroom.review.target import Failure, InvocationFailed

SIGNATURE_HEADER = "Greenroom-Signature"


class HttpTarget:
    """Posts events to one URL, whatever the ARN."""

    def __init__(
        self,
        url: str,
        secret: str,
        allowed: Sequence[Network],
        clock: Clock,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._url = url
        self._secret = secret.encode()
        self._allowed = allowed
        self._clock = clock
        self._host = urlsplit(url).hostname or ""
        self._client = Client(_Checked(allowed, resolver))

    async def prepare(self, uri: str) -> None:
        pass

    async def invoke(self, uri: str, event: bytes) -> bytes:
        self._check_literal()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"greenroom/{__version__}",
            SIGNATURE_HEADER: signature(self._secret, int(self._clock.now()), event),
        }
        answer = await self._client.post(self._url, event, headers)
        if answer.status == 200:
            return answer.body
        failure = Failure.THROTTLED if answer.status == 429 else Failure.BAD_STATUS
        raise InvocationFailed(failure, str(answer.status))

    async def problem(self, uri: str) -> str | None:
        return None

    async def close(self) -> None:
        await self._client.close()

    def _check_literal(self) -> None:
        """Check a host that is an address, which no resolver is asked for."""
        try:
            address = ipaddress.ip_address(self._host)
        except ValueError:
            return
        if not is_permitted(address, self._allowed):
            raise InvocationFailed(Failure.ADDRESS_REFUSED, self._host)


def signature(secret: bytes, seconds: int, body: bytes) -> str:
    """Return the value of the signature header."""
    mac = hmac.digest(secret, b"%d." % seconds + body, "sha256").hex()
    return f"t={seconds},v1={mac}"


class _Checked(AbstractResolver):
    """Resolves names to the addresses among them that are permitted."""

    def __init__(self, allowed: Sequence[Network], resolver: AbstractResolver | None) -> None:
        self._allowed = allowed
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses that may be connected to.

        Raises:
            InvocationFailed: the name has addresses, and none is permitted.
            OSError: the name has none.
        """
        if self._resolver is None:
            self._resolver = ThreadedResolver()
        found = await self._resolver.resolve(host, port, family)
        permitted = [each for each in found if self._permits(each["host"])]
        if found and not permitted:
            raise InvocationFailed(Failure.ADDRESS_REFUSED, host)
        return permitted

    async def close(self) -> None:
        """Close what resolves."""
        if self._resolver is not None:
            await self._resolver.close()

    def _permits(self, host: str) -> bool:
        try:
            return is_permitted(ipaddress.ip_address(host), self._allowed)
        except ValueError:
            return False
