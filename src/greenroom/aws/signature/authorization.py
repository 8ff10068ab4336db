"""What a request says about its signature, in the Authorization header or in the query.

Both forms: AWS Identity and Access Management User Guide, "AWS Signature Version 4 for API
requests". Texts of errors are AWS's where they are known; none repeats what was sent.
"""

import re
from datetime import datetime
from functools import lru_cache
from urllib.parse import unquote

import msgspec

from greenroom.aws.signature.canonical import SIGNATURE_PARAMETER, Request, query_pairs
from greenroom.model.errors import (
    IncompleteSignatureException,
    MissingAuthenticationTokenException,
)

ALGORITHM = "AWS4-HMAC-SHA256"

EXPIRES_AT_MOST = 604_800
"""Seconds for which a presigned request can be valid: a week."""

PARTS_AT_MOST = 1024
"""Headers, pairs of the query, and signed headers that a request may have, each."""

READ_ONCE_CHARACTERS = 512
"""Authorization headers up to this length are read once: 256 of them are kept at most."""

_DIGITS = 64
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_EXPIRES = re.compile(r"[0-9]{1,6}")
_SCOPE = re.compile(r"([!-.0-~]{1,128})/([^/]*)/([^/]*)/([^/]*)/([^/]*)")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_HEADER_NAMES = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+(?:;[a-z0-9!#$%&'*+.^_`|~-]+)*")
_HTTP_DATE = re.compile(
    r"[A-Za-z]{3,9}, (?P<day>[0-9]{2}) (?P<month>[A-Z][a-z]{2}) (?P<year>[0-9]{4})"
    r" (?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2}) (?:GMT|UTC|[+-]0000)"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_HEADERS_READ = frozenset({"authorization", "date", "x-amz-date", "x-amz-security-token"})
_FIELDS = ("Credential", "Signature", "SignedHeaders")
_PARAMETERS = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    SIGNATURE_PARAMETER,
)
_TOKEN_PARAMETER = "X-Amz-Security-Token"  # noqa: S105 - the name of a parameter


class Authorization(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a signature, well-formed but not verified."""

    access_key_id: str
    date: str
    """Of the credential scope, as sent; the next three likewise."""
    region: str
    service: str
    terminator: str
    signed_headers: frozenset[str]
    """In lower case."""
    signature: str
    timestamp: str
    """When the request was signed: YYYYMMDDThhmmssZ."""
    time: int
    """The same in seconds since the epoch."""
    session_token: str | None = None
    expires: int | None = None
    """Seconds for which a presigned request is valid; None in the header form."""


def authorization_of(request: Request) -> Authorization:
    """Return the request's authorization.

    Raises:
        MissingAuthenticationTokenException: the request is not signed.
        IncompleteSignatureException: the signature does not have the form that AWS defines.
    """
    headers = _headers(request)
    parameters = _parameters(request.query_string)
    header = headers.get("authorization")
    if header is None:
        if not parameters:
            raise MissingAuthenticationTokenException("Missing Authentication Token")
        return _from_query(parameters, headers)
    if parameters:
        raise IncompleteSignatureException(
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the"
            " Authorization header should be specified"
        )
    return _from_header(header, headers)


def _headers(request: Request) -> dict[str, str]:
    """Return the headers that matter here."""
    _refuse_more_than_at_most(len(request.headers), "headers")
    found: dict[str, str] = {}
    for name, value in request.headers:
        if name in _HEADERS_READ:
            if name in found:
                raise IncompleteSignatureException(f"The header '{name}' is given more than once.")
            found[name] = value.strip(" \t")
    return found


def _parameters(query_string: str) -> dict[str, str]:
    """Return the query's parameters that make up a signature."""
    if "X-Amz-" not in query_string:
        return {}
    _refuse_more_than_at_most(query_string.count("&") + 1, "query parameters")
    found: dict[str, str] = {}
    for name, value in query_pairs(query_string):
        if name in _PARAMETERS or name == _TOKEN_PARAMETER:
            if name in found:
                raise IncompleteSignatureException(f"'{name}' is given more than once.")
            found[name] = unquote(value)
    return found


def _from_header(header: str, headers: dict[str, str]) -> Authorization:
    date = headers.get("x-amz-date") or headers.get("date")
    if date and len(header) <= READ_ONCE_CHARACTERS:
        known, signature = _before_signature(header[:-_DIGITS]), header[-_DIGITS:]
        if known is not None and _SIGNATURE.fullmatch(signature):
            return known.signed(signature, date, headers.get("x-amz-security-token"))
    fields = _fields(header)
    if missing := [name for name in _FIELDS if not fields.get(name)]:
        sentences = [f"Authorization header requires '{name}' parameter." for name in missing]
        raise IncompleteSignatureException(" ".join(sentences))
    if not date:
        raise IncompleteSignatureException(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    return _authorization(
        fields["Credential"],
        fields["SignedHeaders"],
        fields["Signature"],
        date,
        session_token=headers.get("x-amz-security-token"),
        expires=None,
    )


class _Known(msgspec.Struct, frozen=True):
    """What a client states in the same words all day: everything in front of the signature."""

    scope: tuple[str, ...]
    """Access key id, date, region, service, terminator."""
    signed_headers: frozenset[str]

    def signed(self, signature: str, date: str, session_token: str | None) -> Authorization:
        """Return the authorization with this signature, which is well-formed, made at a date."""
        timestamp, time = _timestamp(date)
        return Authorization(
            access_key_id=self.scope[0],
            date=self.scope[1],
            region=self.scope[2],
            service=self.scope[3],
            terminator=self.scope[4],
            signed_headers=self.signed_headers,
            signature=signature,
            timestamp=timestamp,
            time=time,
            session_token=session_token,
        )


@lru_cache(maxsize=256)
def _before_signature(text: str) -> _Known | None:
    """Return what stands in front of a signature that is a header's last field.

    None where something is wrong, or the signature is not the last: the header is read as a whole.
    """
    if not text.endswith("Signature="):
        return None
    try:
        fields = _fields(text)
        scope = _SCOPE.fullmatch(fields.get("Credential", ""))
        names = _signed_headers(fields.get("SignedHeaders", ""))
    except IncompleteSignatureException:
        return None
    last_is_signature = fields.get("Signature") == ""
    return _Known(scope.groups(), names) if scope is not None and last_is_signature else None


def _fields(header: str) -> dict[str, str]:
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise IncompleteSignatureException(
            f"Unsupported AWS 'algorithm': the Authorization header must begin with {ALGORITHM}."
        )
    fields: dict[str, str] = {}
    for part in rest.split(",", len(_FIELDS)):
        name, equals, value = part.strip(" \t").partition("=")
        if not equals or name not in _FIELDS or name in fields:
            raise IncompleteSignatureException(
                "Authorization header must hold Credential, SignedHeaders and Signature, each once"
                " and as a key=value pair."
            )
        fields[name] = value
    return fields


def _from_query(parameters: dict[str, str], headers: dict[str, str]) -> Authorization:
    if missing := [name for name in _PARAMETERS if not parameters.get(name)]:
        sentences = [f"AWS query-string parameters must include '{name}'." for name in missing]
        raise IncompleteSignatureException(
            " ".join([*sentences, "Re-examine the query-string parameters."])
        )
    if parameters["X-Amz-Algorithm"] != ALGORITHM:
        raise IncompleteSignatureException(
            f"Unsupported AWS 'algorithm': 'X-Amz-Algorithm' must be {ALGORITHM}."
        )
    if "x-amz-security-token" in headers:
        raise IncompleteSignatureException(
            f"The security token of a presigned request belongs in '{_TOKEN_PARAMETER}'."
        )
    expires = parameters["X-Amz-Expires"]
    if not _EXPIRES.fullmatch(expires) or not 1 <= int(expires) <= EXPIRES_AT_MOST:
        raise IncompleteSignatureException(
            f"'X-Amz-Expires' must be a number of seconds from 1 to {EXPIRES_AT_MOST}."
        )
    return _authorization(
        parameters["X-Amz-Credential"],
        parameters["X-Amz-SignedHeaders"],
        parameters[SIGNATURE_PARAMETER],
        parameters["X-Amz-Date"],
        session_token=parameters.get(_TOKEN_PARAMETER),
        expires=int(expires),
    )


def _authorization(
    credential: str,
    signed_headers: str,
    signature: str,
    date: str,
    *,
    session_token: str | None,
    expires: int | None,
) -> Authorization:
    scope = _SCOPE.fullmatch(credential)
    if scope is None:
        raise IncompleteSignatureException(
            "Credential must have exactly 5 slash-delimited elements,"
            " e.g. keyid/date/region/service/term."
        )
    if not _SIGNATURE.fullmatch(signature):
        raise IncompleteSignatureException("'Signature' must be 64 lower-case hexadecimal digits.")
    timestamp, time = _timestamp(date)
    access_key_id, day, region, service, terminator = scope.groups()
    return Authorization(
        access_key_id=access_key_id,
        date=day,
        region=region,
        service=service,
        terminator=terminator,
        signed_headers=_signed_headers(signed_headers),
        signature=signature,
        timestamp=timestamp,
        time=time,
        session_token=session_token,
        expires=expires,
    )


@lru_cache(maxsize=64)
def _signed_headers(text: str) -> frozenset[str]:
    """Return the names, as text sorted and each once: a client names the same all the time."""
    _refuse_more_than_at_most(text.count(";") + 1, "signed headers")
    names = text.split(";")
    once = frozenset(names)
    if not _HEADER_NAMES.fullmatch(text) or names != sorted(once):
        raise IncompleteSignatureException(
            "'SignedHeaders' must be names of headers in lower case, sorted, each once, with ';'"
            " between them."
        )
    return once


@lru_cache(maxsize=64)
def _timestamp(text: str) -> tuple[str, int]:
    """Return a date in the form that is signed, and in seconds since the epoch.

    `text` is ISO 8601 in its basic format, or HTTP's own format in the Date header (RFC 9110).
    """
    basic = _basic_format(text)
    try:
        if _TIMESTAMP.fullmatch(basic):
            return basic, int(datetime.fromisoformat(basic).timestamp())
    except ValueError:
        pass
    raise IncompleteSignatureException(
        "Date must be in ISO-8601 'basic format'. See http://en.wikipedia.org/wiki/ISO_8601"
    )


def _basic_format(text: str) -> str:
    match = None if text.endswith("Z") else _HTTP_DATE.fullmatch(text)
    if match is None or match["month"] not in _MONTHS:
        return text
    month = _MONTHS.index(match["month"]) + 1
    return f"{match['year']}{month:02}{match['day']}T{match['time'].replace(':', '')}Z"


def _refuse_more_than_at_most(count: int, what: str) -> None:
    if count > PARTS_AT_MOST:
        raise IncompleteSignatureException(f"A signed request may have {PARTS_AT_MOST} {what}.")
