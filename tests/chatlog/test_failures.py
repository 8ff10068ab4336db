"""Errors of AWS's services as failures of a destination."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)

from greenroom.chatlog.base import DestinationFailed, FailureKind
from greenroom.chatlog.failures import as_destination_failures


def client_error(code: str) -> ClientError:
    """Return a service's error, whose message quotes what nobody may see."""
    return ClientError({"Error": {"Code": code, "Message": "content"}}, "PutObject")


@pytest.mark.parametrize(
    ("error", "kind", "why"),
    [
        (client_error("NoSuchBucket"), FailureKind.NOT_FOUND, "NoSuchBucket"),
        (client_error("404"), FailureKind.NOT_FOUND, "404"),
        (client_error("ResourceNotFoundException"), FailureKind.NOT_FOUND, None),
        (client_error("AccessDenied"), FailureKind.ACCESS_DENIED, None),
        (client_error("403"), FailureKind.ACCESS_DENIED, None),
        (client_error("AccessDeniedException"), FailureKind.ACCESS_DENIED, None),
        (client_error("UnrecognizedClientException"), FailureKind.ACCESS_DENIED, None),
        (client_error("SignatureDoesNotMatch"), FailureKind.ACCESS_DENIED, None),
        (NoCredentialsError(), FailureKind.ACCESS_DENIED, "NoCredentialsError"),
        (client_error("SlowDown"), FailureKind.OTHER, "SlowDown"),
        (client_error("ThrottlingException"), FailureKind.OTHER, "ThrottlingException"),
        (client_error("<content>"), FailureKind.OTHER, "unreadable code"),
        (client_error("x" * 65), FailureKind.OTHER, "unreadable code"),
        (ConnectTimeoutError(endpoint_url="content"), FailureKind.OTHER, "ConnectTimeoutError"),
        (EndpointConnectionError(endpoint_url="content"), FailureKind.OTHER, None),
        (ParamValidationError(report="content"), FailureKind.OTHER, "ParamValidationError"),
        (KeyError("content"), FailureKind.OTHER, "KeyError"),
    ],
    ids=str,
)
def test_kinds(error: Exception, kind: FailureKind, why: str | None) -> None:
    """An error is told by its kind and its code; nothing else of it is."""
    with pytest.raises(DestinationFailed) as failed, as_destination_failures():
        raise error
    assert failed.value.kind == kind
    assert why is None or failed.value.why == why
    assert "content" not in str(failed.value)
    assert failed.value.__cause__ is None


def test_failures_pass() -> None:
    """What is a failure of the destination already stays as it is."""
    failure = DestinationFailed(FailureKind.NOT_FOUND, "why")
    with pytest.raises(DestinationFailed) as failed, as_destination_failures():
        raise failure
    assert failed.value is failure
