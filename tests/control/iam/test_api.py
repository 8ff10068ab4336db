"""The way of a request to IAM and STS, and what the audit log learns of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from greenroom.aws import query
from greenroom.control.iam.api import service_of
from greenroom.control.iam.operations import OPERATIONS
from greenroom.control.trail import Trail
from greenroom.model.errors import ServiceError
from greenroom.policies.request_context import RequestFacts
from tests.control.iam_caller import FORM, ROOT, IamCaller, caller_of

SIGNED = b"AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/%s/aws4_request, SignedHeaders=host"


def scope(path: str = "/", query_string: bytes = b"", **headers: bytes) -> dict[str, Any]:
    """Return an HTTP request as uvicorn has it."""
    return {
        "raw_path": path.encode(),
        "query_string": query_string,
        "headers": [(name.replace("_", "-").encode(), value) for name, value in headers.items()],
    }


@pytest.mark.parametrize(
    ("asked", "service"),
    [
        (scope(authorization=SIGNED % b"iam"), "iam"),
        (scope(authorization=SIGNED % b"sts"), "sts"),
        (scope(authorization=SIGNED % b"ivschat"), None),
        (scope(query_string=b"X-Amz-Credential=A%2F1%2Fr%2Fsts%2Faws4_request&Action=X"), "sts"),
        (scope("/CreateRoom", authorization=SIGNED % b"iam"), "iam"),
        (scope(content_type=FORM), "sts"),
        (scope("/CreateRoom", content_type=FORM), None),
        (scope(content_type=b"application/json"), None),
        (scope(), None),
    ],
)
def test_service_of(asked: dict[str, Any], service: str | None) -> None:
    """What a request is signed for decides; an unsigned form is a matter of STS."""
    assert service_of(asked) == service


async def respond(service: str, body: bytes) -> tuple[Trail, str]:
    """Return the trail of the root's request, and the code of its refusal."""
    iam, trail = IamCaller(), Trail("id-1", "")
    facts = RequestFacts(region="us-east-1", now=datetime.fromtimestamp(iam.time.clock.now(), UTC))
    try:
        form = query.read_form(b"", FORM, body)
        await iam.api.respond(service, form, caller_of(ROOT), facts, trail)
    except ServiceError as error:
        return trail, error.code
    return trail, ""


async def test_what_the_trail_learns() -> None:
    """The trail knows operation and parameters, and whether anything was changed or issued."""
    trail, code = await respond("iam", b"Action=CreateUser&Version=2010-05-08&UserName=u")
    assert (trail.operation, trail.reads, code) == ("CreateUser", False, "")
    assert trail.parameters == {"UserName": "u"}
    trail, code = await respond("iam", b"Action=ListUsers&Version=2010-05-08")
    assert (trail.operation, trail.reads, code) == ("ListUsers", True, "")
    trail, code = await respond("sts", b"Action=GetSessionToken&Version=2011-06-15")
    assert (trail.operation, trail.reads, code) == ("GetSessionToken", False, "")
    assert list(trail.parameters) == ["AccessKeyId"]


@pytest.mark.parametrize(
    ("service", "body", "code"),
    [
        ("iam", b"Action=CreateGroup&Version=2010-05-08", "InvalidAction"),
        ("iam", b"Action=GetCallerIdentity&Version=2010-05-08", "InvalidAction"),
        ("iam", b"Action=ListUsers&Version=2011-06-15", "InvalidAction"),
        ("sts", b"Version=2011-06-15", "MissingAction"),
        ("sts", b"Action=%3Cscript%3E&Version=2011-06-15", "InvalidAction"),
    ],
)
async def test_what_is_not_served(service: str, body: bytes, code: str) -> None:
    """An operation that is not in the table is refused before it could have an effect."""
    trail, refused = await respond(service, body)
    assert (trail.operation, refused) == ("", code)


def test_every_operation_knows_what_it_needs() -> None:
    """The table stands in the order of the alphabet, and has no operation twice."""
    assert list(OPERATIONS) == sorted(OPERATIONS)
