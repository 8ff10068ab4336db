"""The way of a request to IAM and STS, and what the audit log learns of it."""

from typing import Any

import pytest

from greenroom.control.iam.api import iam_apis, service_of
from greenroom.control.iam.operations import OPERATIONS
from greenroom.control.pipeline import Incoming
from greenroom.control.trail import Trail
from greenroom.model.errors import ServiceError
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


def parsed(service: str, body: bytes) -> tuple[Trail, bool, str]:
    """Return the trail of the root's request, whether it reads, and the code of its refusal."""
    iam, trail = IamCaller(), Trail("id-1", "")
    api, now = iam.apis[service], iam.time.clock.now()
    asked = scope(content_type=FORM)
    incoming = Incoming(asked, body, caller_of(ROOT), "us-east-1", now, trail)
    try:
        api.parse(incoming, None)
    except ServiceError as error:
        return trail, False, error.code
    return trail, trail.operation in api.reading, ""


def test_what_the_trail_learns() -> None:
    """The trail knows operation and parameters, and whether anything was changed or issued."""
    trail, reads, code = parsed("iam", b"Action=CreateUser&Version=2010-05-08&UserName=u")
    assert (trail.operation, reads, trail.is_free, code) == ("CreateUser", False, False, "")
    assert trail.parameters == {"UserName": "u"}
    trail, reads, code = parsed("iam", b"Action=ListUsers&Version=2010-05-08")
    assert (trail.operation, reads, trail.is_free, code) == ("ListUsers", True, False, "")
    trail, reads, code = parsed("sts", b"Action=GetSessionToken&Version=2011-06-15")
    assert (trail.operation, reads, trail.is_free, code) == ("GetSessionToken", False, True, "")


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
def test_what_is_not_served(service: str, body: bytes, code: str) -> None:
    """An operation that is not in the table is refused before it could have an effect."""
    trail, _, refused = parsed(service, body)
    assert (trail.operation, refused) == ("", code)


def test_every_operation_knows_what_it_needs() -> None:
    """The table stands in the order of the alphabet, and has no operation twice."""
    assert list(OPERATIONS) == sorted(OPERATIONS)


def test_which_regions_are_served() -> None:
    """Those of the settings, and the one that requests for all regions are signed for."""
    services = IamCaller().services
    for given, served in (
        (None, None),
        ([], {"us-east-1"}),
        (["eu-west-1"], {"us-east-1", "eu-west-1"}),
    ):
        apis = iam_apis(services, lambda _: None, given)
        assert [api.regions for api in apis.values()] == [served] * 2
