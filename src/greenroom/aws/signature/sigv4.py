"""Sign requests with AWS Signature Version 4, and verify the signatures of others.

- A verified request has these parts as their signer had them: method, path or one of its
  `other_paths`, query, body, `host`, every `x-amz-*` header but those in `ADDED_ON_THE_WAY`, and
  the headers that it names as signed.
- The body is always hashed: `UNSIGNED-PAYLOAD` and the streaming forms, which are S3's, are
  refused with InvalidSignatureException.
- Errors come in the order scope, time, headers, body, signature: a client with a wrong clock
  learns about its clock. Their texts are AWS's where those are known.
- Whatever a request holds, `authorization_of` and `verify` raise nothing but ServiceErrors.
"""

import hmac
import re
from collections.abc import Collection
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256

from greenroom.aws.signature.authorization import ALGORITHM, Authorization, authorization_of
from greenroom.aws.signature.canonical import (
    SIGNATURE_PARAMETER,
    Request,
    canonical_paths,
    canonical_queries,
    canonical_request,
    query_pairs,
)
from greenroom.model.errors import (
    IncompleteSignatureException,
    InvalidSignatureException,
    RequestExpired,
    SignatureDoesNotMatch,
)

__all__ = ["Authorization", "Request", "authorization_of", "sign", "verify"]

WINDOW_SECONDS = 900
"""How far a request's time may lie from ours, both ways: 15 minutes."""

ADDED_ON_THE_WAY = frozenset({"x-amz-cf-id"})
"""`x-amz-*` headers that need no signature: CloudFront adds its own to what it forwards."""

NEVER_SIGNED = frozenset(
    {
        *("authorization", "connection", "expect", "keep-alive", "te", "trailer"),
        *("traceparent", "tracestate", "transfer-encoding", "upgrade", "user-agent"),
        *("proxy-authenticate", "proxy-authorization", "x-amzn-trace-id"),
    }
)
"""Headers that `sign` leaves out: they are changed or made between here and there."""

_TERMINATOR = "aws4_request"
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_REGIONS_NAMED = 8
_ONCE = frozenset({"host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"})


def verify(
    request: Request,
    authorization: Authorization,
    secret: str,
    now: float,
    service: str = "ivschat",
    regions: Collection[str] | None = None,
) -> None:
    """Accept the request if it was signed with the secret, for this service, at this time.

    `authorization` is the request's own; `now` is in seconds since the epoch; `regions` are those
    that are served, None any.

    Raises:
        SignatureDoesNotMatch: the credential scope is not the one of this request.
        RequestExpired: a presigned request is used after its expiry.
        IncompleteSignatureException: a header that has one meaning is given twice.
        InvalidSignatureException: another secret, request or time.
    """
    _check_scope(authorization, service, regions)
    _check_time(authorization, now)
    headers = _signed_headers(request, authorization.signed_headers)
    _check_payload(request, headers)
    key = _signing_key(secret, authorization.date, authorization.region, service)
    scope = f"{authorization.date}/{authorization.region}/{service}/{_TERMINATOR}"
    pairs = query_pairs(request.query_string)
    if authorization.expires is not None:
        pairs = [pair for pair in pairs if pair[0] != SIGNATURE_PARAMETER]
    for path in canonical_paths(request):
        # Nearly always the first form of each is the one that was signed.
        for query in canonical_queries(pairs):
            canonical = canonical_request(request, query, headers, path)
            signature = _signature(key, authorization.timestamp, scope, canonical)
            if hmac.compare_digest(signature, authorization.signature):
                return
    raise InvalidSignatureException(
        "The request signature we calculated does not match the signature you provided. Check your"
        " AWS Secret Access Key and signing method. Consult the service documentation for details."
    )


def sign(
    request: Request,
    access_key_id: str,
    secret: str,
    region: str,
    service: str,
    now: float,
    session_token: str | None = None,
) -> dict[str, str]:
    """Return the headers to add to the request: `authorization`, `x-amz-date`, perhaps a token.

    Every header that the request has must be sent as it is; `host` must be among them. `now` is
    in seconds since the epoch.
    """
    timestamp = _basic_format(now)
    added = {"x-amz-date": timestamp}
    if session_token is not None:
        added["x-amz-security-token"] = session_token
    headers: dict[str, list[str]] = {name: [value] for name, value in added.items()}
    for name, value in request.headers:
        if name not in added and name not in NEVER_SIGNED:
            headers.setdefault(name, []).append(value)
    if "host" not in headers:
        raise ValueError("a request without host cannot be signed")
    query = next(canonical_queries(query_pairs(request.query_string)))
    canonical = canonical_request(request, query, headers)
    key = _signing_key(secret, timestamp[:8], region, service)
    scope = f"{timestamp[:8]}/{region}/{service}/{_TERMINATOR}"
    signature = _signature(key, timestamp, scope, canonical)
    added["authorization"] = (
        f"{ALGORITHM} Credential={access_key_id}/{scope},"
        f" SignedHeaders={';'.join(sorted(headers))}, Signature={signature}"
    )
    return added


# -------------------------------------------------------------------------------------- checks


def _check_scope(
    authorization: Authorization, service: str, regions: Collection[str] | None
) -> None:
    date, timestamp, region = authorization.date, authorization.timestamp, authorization.region
    problems = []
    if not _REGION.fullmatch(region):
        problems.append("Credential should be scoped to a valid region.")
    elif regions is not None and region not in regions:
        problems.append(
            f"Credential should be scoped to a valid region, not '{region}':"
            f" served here: {_few(regions)}."
        )
    if authorization.service != service:
        problems.append(f"Credential should be scoped to correct service: '{service}'.")
    if authorization.terminator != _TERMINATOR:
        problems.append(f"Credential should be scoped with a valid terminator: '{_TERMINATOR}'.")
    if date != timestamp[:8]:
        problems.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from"
            f" HTTP, which is '{timestamp[:8]}', from '{timestamp}'."
        )
    if problems:
        raise SignatureDoesNotMatch(" ".join(problems))


def _few(regions: Collection[str]) -> str:
    named = ", ".join(sorted(regions)[:_REGIONS_NAMED])
    return named if len(regions) <= _REGIONS_NAMED else f"{named} and more"


def _check_time(authorization: Authorization, now: float) -> None:
    signed, timestamp = authorization.time, authorization.timestamp
    if signed > now + WINDOW_SECONDS:
        raise InvalidSignatureException(
            f"Signature not yet current: {timestamp} is still later than"
            f" {_basic_format(now + WINDOW_SECONDS)} ({_basic_format(now)} + 15 min.)"
        )
    if authorization.expires is not None:
        if signed + authorization.expires < now:
            raise RequestExpired("Request has expired.")
    elif signed < now - WINDOW_SECONDS:
        raise InvalidSignatureException(
            f"Signature expired: {timestamp} is now earlier than"
            f" {_basic_format(now - WINDOW_SECONDS)} ({_basic_format(now)} - 15 min.)"
        )


def _signed_headers(request: Request, names: frozenset[str]) -> dict[str, list[str]]:
    """Return the values of the signed headers, none of which is missing."""
    found: dict[str, list[str]] = {}
    for name, value in request.headers:
        if name in names:
            if name not in found:
                found[name] = [value]
                continue
            if name in _ONCE:
                raise IncompleteSignatureException(f"The header '{name}' is given more than once.")
            found[name].append(value)
        elif name.startswith("x-amz-") and name not in ADDED_ON_THE_WAY:
            raise InvalidSignatureException(
                f"'{_titled(name)}' must be a 'SignedHeader' in the AWS Authorization."
            )
    if "host" not in names:
        raise InvalidSignatureException(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        )
    if len(found) < len(names):
        missing = min(names - found.keys())
        raise InvalidSignatureException(
            f"The signed header '{missing[:64]}' is not in the request."
        )
    return found


def _titled(name: str) -> str:
    return name[:64].encode("ascii", "replace").decode().title()


def _check_payload(request: Request, headers: dict[str, list[str]]) -> None:
    stated = headers.get("x-amz-content-sha256")
    if stated and stated[0].strip(" \t") != sha256(request.body).hexdigest():
        raise InvalidSignatureException(
            "'X-Amz-Content-Sha256' must be the SHA-256 of the body as it was received;"
            " UNSIGNED-PAYLOAD and STREAMING forms are not accepted."
        )


# ---------------------------------------------------------------------------------- signatures


def _signature(key: hmac.HMAC, timestamp: str, scope: str, canonical: bytes) -> str:
    mac = key.copy()
    mac.update(f"{ALGORITHM}\n{timestamp}\n{scope}\n{sha256(canonical).hexdigest()}".encode())
    return mac.hexdigest()


@lru_cache(maxsize=1024)
def _signing_key(secret: str, date: str, region: str, service: str) -> hmac.HMAC:
    """Derive the key of a day, a region and a service; what is kept is never updated."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, _TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, digestmod="sha256")


def _basic_format(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
