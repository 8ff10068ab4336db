"""What a service believes of those in front of it: asked by a request that says what a proxy would.

A signed request is sent twice: as it is, and with the headers of a proxy for a client at an address
that is for documentation (RFC 5737). The service answers whom it takes each for.
"""

import ipaddress
from collections.abc import Iterator, Mapping

import msgspec

from greenroom.aws.own_service import SERVICE
from greenroom.cli.api import Api, Endpoint
from greenroom.cli.doctor.findings import Finding, fault, note, ok
from greenroom.cli.reaching import Reached

CLIENT = "203.0.113.7"
"""The client whom the headers name."""

FORGED = {
    "x-forwarded-for": CLIENT,
    "x-forwarded-proto": "https",
    "forwarded": f"for={CLIENT};proto=https",
}
"""What a proxy says of a client; and what anybody can say who is believed."""


class Seen(msgspec.Struct, frozen=True, rename="camel"):
    """As whom the service sees a request."""

    source_ip: str
    secure: bool


def look(reached: Reached) -> Iterator[Finding]:
    """Return what the service takes requests from here for.

    Raises:
        CommandRefused: it does not answer them.
    """
    plain, forwarded = _seen(reached, {}), _seen(reached, FORGED)
    yield judged(reached.endpoint, plain, forwarded)


def judged(endpoint: Endpoint, plain: Seen, forwarded: Seen) -> Finding:
    """Judge as whom a request to an endpoint was seen, without the headers and with them."""
    is_here = _is_loopback(endpoint.host)
    if forwarded.source_ip == CLIENT:
        if not is_here:
            return fault(
                "proxies",
                "any client can claim any address: what it writes into the header is believed",
                "name in trusted_proxies the proxies alone, and let them add to the header",
            )
        said = f"{plain.source_ip} is believed about its clients' addresses"
        return ok("proxies", f"{said}, and about TLS" if forwarded.secure else said)
    if endpoint.secure and not plain.secure:
        return note(
            "proxies",
            "a request over TLS counts as one without: a proxy ends it, and is not believed",
            "trusted_proxies with the proxy's address, and forwarded_proto = on",
        )
    if forwarded.secure and not endpoint.secure:
        return fault(
            "proxies",
            "any client can claim to come over TLS",
            "let the proxy overwrite X-Forwarded-Proto, or switch forwarded_proto off",
        )
    if not is_here and _is_loopback(plain.source_ip):
        return note(
            "proxies",
            f"everybody comes from {plain.source_ip}: a proxy there is not believed",
            "trusted_proxies with the proxy's address; limits per address need it",
        )
    return ok("proxies", f"a request from here is seen as from {plain.source_ip}, whatever it says")


def _seen(reached: Reached, headers: Mapping[str, str]) -> Seen:
    api = Api(reached.endpoint, reached.key, reached.region, SERVICE)
    api.also = headers
    try:
        return msgspec.convert(api.call(f"{SERVICE}/requests/show"), Seen)
    finally:
        api.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
