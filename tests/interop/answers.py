"""Reading what boto3's clients were answered."""

from collections.abc import Collection, Mapping
from typing import Any

from botocore.exceptions import ClientError

from tests.running.at_last import at_last

ACCOUNT = "123456789012"
"""The account of a service that was told no other."""

LAMBDA = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:review"
"""A review handler's uri."""

S3 = {"s3": {"bucketName": "chat-logs"}}
"""A destination of logging configurations."""


def members(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that the operation's output has in the service model."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def status(answer: Mapping[str, Any]) -> int:
    """Return the HTTP status of an answer or of an error."""
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])


def refusal(client: Any, code: str, operation: str, **parameters: Any) -> Any:
    """Call an operation that must fail with this code; return the error as boto3 parsed it.

    An error of the service model must come as its own exception, any other as a plain one.
    """
    error = _refused(client, {code}, operation, parameters)
    response: Any = error.response
    assert response["Error"]["Code"] == code
    assert type(error) is getattr(client.exceptions, code, ClientError)
    assert response["Error"]["Message"]
    assert response["ResponseMetadata"]["RequestId"]
    return response


def denied(client: Any, operation: str, **parameters: Any) -> str:
    """Return the message of an operation that must be denied."""
    codes = {"AccessDenied", "AccessDeniedException"}
    response = _refused(client, codes, operation, parameters).response
    assert status(response) == 403
    assert response["Error"]["Code"] in codes
    return str(response["Error"]["Message"])


def allowed(client: Any, operation: str, **parameters: Any) -> None:
    """Call an operation that must not be refused any more."""
    error = at_last(lambda: _error(client, operation, parameters), lambda error: error is None)
    assert error is None


def _refused(
    client: Any, codes: Collection[str], operation: str, parameters: Mapping[str, Any]
) -> ClientError:
    error = at_last(
        lambda: _error(client, operation, parameters),
        lambda error: error is not None and error.response["Error"]["Code"] in codes,
    )
    assert error is not None, f"{operation} was not refused"
    return error


def _error(client: Any, operation: str, parameters: Mapping[str, Any]) -> ClientError | None:
    try:
        getattr(client, operation)(**parameters)
    except ClientError as error:
        return error
    return None


def fields(response: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields that a ValidationException blames."""
    assert response["reason"] == "FIELD_VALIDATION_FAILED"
    assert all(field["message"] for field in response["fieldList"])
    return [field["name"] for field in response["fieldList"]]


def s3(client: Any, **parameters: Any) -> dict[str, Any]:
    """Create a logging configuration that names a bucket."""
    return members(client.create_logging_configuration(destinationConfiguration=S3, **parameters))
