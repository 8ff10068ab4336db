"""What went wrong at AWS, as a failure of the destination: one table, for every adapter.

A failure's text is the error's code and nothing else: an error's message may quote the request.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from greenroom.chatlog.base import DestinationFailed, FailureKind

_KINDS: dict[str, FailureKind] = {
    "404": FailureKind.NOT_FOUND,
    "NoSuchBucket": FailureKind.NOT_FOUND,
    "ResourceNotFoundException": FailureKind.NOT_FOUND,
    "403": FailureKind.ACCESS_DENIED,
    "AccessDenied": FailureKind.ACCESS_DENIED,
    "AccessDeniedException": FailureKind.ACCESS_DENIED,
    "AllAccessDisabled": FailureKind.ACCESS_DENIED,
    "AuthorizationHeaderMalformed": FailureKind.ACCESS_DENIED,
    "ExpiredToken": FailureKind.ACCESS_DENIED,
    "ExpiredTokenException": FailureKind.ACCESS_DENIED,
    "IncompleteSignatureException": FailureKind.ACCESS_DENIED,
    "InvalidAccessKeyId": FailureKind.ACCESS_DENIED,
    "InvalidClientTokenId": FailureKind.ACCESS_DENIED,
    "InvalidSignatureException": FailureKind.ACCESS_DENIED,
    "InvalidToken": FailureKind.ACCESS_DENIED,
    "MissingAuthenticationTokenException": FailureKind.ACCESS_DENIED,
    "OptInRequired": FailureKind.ACCESS_DENIED,
    "SignatureDoesNotMatch": FailureKind.ACCESS_DENIED,
    "UnrecognizedClient": FailureKind.ACCESS_DENIED,
    "UnrecognizedClientException": FailureKind.ACCESS_DENIED,
    # These are botocore's own, raised before anything is sent.
    "CredentialRetrievalError": FailureKind.ACCESS_DENIED,
    "NoAuthTokenError": FailureKind.ACCESS_DENIED,
    "NoCredentialsError": FailureKind.ACCESS_DENIED,
    "PartialCredentialsError": FailureKind.ACCESS_DENIED,
    "TokenRetrievalError": FailureKind.ACCESS_DENIED,
    "UnauthorizedSSOTokenError": FailureKind.ACCESS_DENIED,
}


def code(error: Exception) -> str:
    """Return the code of a service's error, or the name of any other."""
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        told = error.response.get("Error", {}).get("Code", "")
        return told if re.fullmatch(r"[A-Za-z0-9.]{1,64}", told) else "unreadable code"
    return type(error).__name__


@contextmanager
def as_destination_failures() -> Iterator[None]:
    """Turn whatever a call raises into DestinationFailed."""
    try:
        yield
    except DestinationFailed:
        raise
    except Exception as error:  # noqa: BLE001 - an answer that makes no sense raises anything
        why = code(error)
        raise DestinationFailed(_KINDS.get(why, FailureKind.OTHER), why) from None
