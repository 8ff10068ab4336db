"""`greenroom.client.Ivschat` beside boto3 and the AWS SDK for JavaScript v2.

The requests are the same, and so are the outcomes. `docs/reference/python-client.md` lists them.

Covers: greenroom.client.ivschat, greenroom.client.api.requests, greenroom.client.api.answers,
greenroom.client.api.sending, greenroom.client.api.results, greenroom.client.api.validation
"""

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import ClientError

from greenroom.aws.service import API_VERSION, OPERATIONS
from greenroom.aws.shapes import read_model
from greenroom.client import Ivschat, IvschatError, ParameterError, ParamValidation
from greenroom.client.api.validation import validate
from tests.running.recording import Recorded, Scripted, recording
from tests.running.service import Service, environment

JS = Path(__file__).parent / "js"
PAGE = Path(__file__).resolve().parents[2] / "docs/reference/python-client.md"
UNICODE = "größe ½ 🎉 * ' ( ) ! ~"

Request = tuple[str, dict[str, Any]]


async def by_javascript(
    requests: list[dict[str, Any]], validations: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, str] | None]]:
    """Return what comes of requests, and what the validator says, in the SDK for JavaScript."""
    process = await asyncio.create_subprocess_exec(
        "node",
        JS / "v2_outcomes.mjs",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment(AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null"),
    )
    asked = {
        "requests": requests,
        "validations": validations,
        "model": read_model("ivschat", API_VERSION),
    }
    printed, _ = await process.communicate(json.dumps(asked).encode())
    found = json.loads(printed)
    return found["outcomes"], found["judgements"]


# ---------------------------------------------------------------------------------- the requests


def corpus(room: str, configuration: str) -> list[Request]:
    """Return requests of every operation that reach the service."""
    gone = room[:-12] + "AbCdEf123456"
    no_configuration = configuration[:-12] + "AbCdEf123456"
    s3 = {"s3": {"bucketName": "a-bucket"}}
    return [
        ("CreateRoom", {}),
        ("CreateRoom", {"name": "a", "tags": {"k 1": UNICODE, "ü": ""}}),
        (
            "CreateRoom",
            {
                "maximumMessageRatePerSecond": 7,
                "maximumMessageLength": 77,
                "messageReviewHandler": {
                    "uri": "arn:aws:lambda:us-east-1:123456789012:function:f",
                    "fallbackResult": "DENY",
                },
                "loggingConfigurationIdentifiers": [configuration],
            },
        ),
        ("CreateRoom", {"name": "no spaces", "maximumMessageLength": 501}),
        ("GetRoom", {"identifier": room}),
        ("GetRoom", {"identifier": "nothing"}),
        ("UpdateRoom", {"identifier": room, "name": "", "loggingConfigurationIdentifiers": []}),
        ("UpdateRoom", {"identifier": gone, "messageReviewHandler": {"uri": ""}}),
        ("DeleteRoom", {"identifier": gone}),
        ("ListRooms", {}),
        ("ListRooms", {"name": "a", "maxResults": 1}),
        ("ListRooms", {"nextToken": "no token"}),
        ("CreateLoggingConfiguration", {"destinationConfiguration": s3, "name": "x"}),
        (
            "CreateLoggingConfiguration",
            {"destinationConfiguration": {"cloudWatchLogs": {"logGroupName": "/a/b#c"}}},
        ),
        ("GetLoggingConfiguration", {"identifier": configuration}),
        ("UpdateLoggingConfiguration", {"identifier": configuration, "name": "y"}),
        ("DeleteLoggingConfiguration", {"identifier": no_configuration}),
        ("ListLoggingConfigurations", {"maxResults": 2}),
        ("ListTagsForResource", {"resourceArn": room}),
        ("ListTagsForResource", {"resourceArn": UNICODE + "/?#%&="}),
        ("TagResource", {"resourceArn": room, "tags": {"a:b/c": UNICODE}}),
        ("UntagResource", {"resourceArn": room, "tagKeys": ["z", "a b", UNICODE + "+&=/"]}),
        (
            "CreateChatToken",
            {
                "roomIdentifier": room,
                "userId": UNICODE,
                "capabilities": ["SEND_MESSAGE"],
                "sessionDurationInMinutes": 1,
                "attributes": {"a": UNICODE},
            },
        ),
        ("CreateChatToken", {"roomIdentifier": gone, "userId": "u"}),
        ("SendEvent", {"roomIdentifier": room, "eventName": "app:e", "attributes": {"a": "1"}}),
        ("DeleteMessage", {"roomIdentifier": room, "id": "AbCdEf123456", "reason": UNICODE}),
        ("DisconnectUser", {"roomIdentifier": room, "userId": "nobody"}),
    ]


async def test_requests_are_those_of_the_other_clients(service: Service, region: str) -> None:
    """Method, path, query and body are boto3's and the SDK's; the signed headers are boto3's."""
    made = service.boto3(region=region)
    room = made.create_room()["arn"]
    destination = {"s3": {"bucketName": "bucket"}}
    configuration = made.create_logging_configuration(destinationConfiguration=destination)["arn"]
    requests = corpus(room, configuration)
    assert {name for name, _ in requests} == OPERATIONS.keys()
    async with recording(service.api_url) as peer:
        keys = (service.ready["access_key_id"], service.ready["secret_access_key"])
        ours = [await _by_python(peer.url, region, keys, each) for each in requests]
        mine, peer.recorded = peer.recorded, []
        theirs = await asyncio.to_thread(
            lambda: [_by_boto3(peer.url, region, keys, each) for each in requests]
        )
        botos, peer.recorded = peer.recorded, []
        options = {"endpoint": peer.url, "region": region, "maxRetries": 0}
        options |= {"accessKeyId": keys[0], "secretAccessKey": keys[1]}
        outcomes, _ = await by_javascript(
            [{"options": options, "operation": o, "params": p} for o, p in requests], []
        )
        javascripts = peer.recorded
    for request, our, boto, javascript in zip(requests, mine, botos, javascripts, strict=True):
        assert _essence(our) == _essence(boto) == _essence(javascript), request
        assert our.signed_headers == boto.signed_headers, request
    for request, code, other, outcome in zip(requests, ours, theirs, outcomes, strict=True):
        assert code == other == outcome.get("error", {}).get("code"), request


def _essence(request: Recorded) -> tuple[object, ...]:
    return request.method, request.path, request.query, request.parsed


async def _by_python(url: str, region: str, keys: tuple[str, ...], asked: Request) -> str | None:
    """Make a request; return the code of its error."""
    async with Ivschat(
        endpoint=url,
        region=region,
        access_key_id=keys[0],
        secret_access_key=keys[1],
        session_token=keys[2] if len(keys) > 2 else None,
        max_retries=0,
    ) as ivschat:
        try:
            await ivschat.make_request(*asked)
        except IvschatError as error:
            return error.code
    return None


def _by_boto3(url: str, region: str, keys: tuple[str, ...], asked: Request) -> str | None:
    client = boto3.client(
        "ivschat",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        aws_session_token=keys[2] if len(keys) > 2 else None,
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )
    method = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", asked[0]).lower()
    try:
        getattr(client, method)(**asked[1])
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    finally:
        client.close()
    return None


async def test_a_session_is_signed_as_boto3_does(service: Service, region: str) -> None:
    """Its token is a signed header; that nobody knows it is told alike."""
    keys = (service.ready["access_key_id"], service.ready["secret_access_key"], "a session's")
    async with recording(service.api_url) as peer:
        ours = await _by_python(peer.url, region, keys, ("ListRooms", {}))
        theirs = await asyncio.to_thread(_by_boto3, peer.url, region, keys, ("ListRooms", {}))
    one, other = peer.recorded
    assert one.signed_headers == other.signed_headers
    assert one.headers["x-amz-security-token"] == other.headers["x-amz-security-token"]
    assert ours == theirs
    assert ours is not None


async def test_results_hold_what_the_other_clients_answer(service: Service, region: str) -> None:
    """Each member with its value; times are the same moments."""
    made = service.boto3(region=region)
    destination = {"firehose": {"deliveryStreamName": "stream"}}
    log = made.create_logging_configuration(destinationConfiguration=destination, tags={"a": "b"})
    handler = {"uri": "arn:aws:lambda:us-east-1:123456789012:function:f", "fallbackResult": "DENY"}
    room = made.create_room(
        name="n", messageReviewHandler=handler, loggingConfigurationIdentifiers=[log["arn"]]
    )
    made.create_room()
    requests: list[Request] = [
        ("GetRoom", {"identifier": room["arn"]}),
        ("ListRooms", {}),
        ("GetLoggingConfiguration", {"identifier": log["arn"]}),
        ("ListLoggingConfigurations", {}),
        ("ListTagsForResource", {"resourceArn": log["arn"]}),
    ]
    keys = (service.ready["access_key_id"], service.ready["secret_access_key"])
    given: dict[str, Any] = {"endpoint": service.api_url, "region": region}
    options = {**given, "accessKeyId": keys[0], "secretAccessKey": keys[1]}
    outcomes, _ = await by_javascript(
        [{"options": options, "operation": o, "params": p} for o, p in requests], []
    )
    async with Ivschat(**given, access_key_id=keys[0], secret_access_key=keys[1]) as ivschat:
        for (operation, params), outcome in zip(requests, outcomes, strict=True):
            ours = _without_none(
                msgspec.to_builtins(
                    (await ivschat.make_request(operation, params)).data,
                    builtin_types=(datetime,),
                )
            )
            method = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", operation).lower()
            theirs = getattr(made, method)(**params)
            del theirs["ResponseMetadata"]
            assert ours == theirs, operation
            assert json.loads(json.dumps(ours, default=_as_javascript)) == outcome["data"]


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(each) for name, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list) else value


def _as_javascript(time: datetime) -> str:
    return f"{time.isoformat(timespec='milliseconds')[:23]}Z"


# -------------------------------------------------------------------------------- the outcomes

VALIDATION = {
    "__type": "ValidationException",
    "message": "wrong",
    "reason": "FIELD_VALIDATION_FAILED",
    "fieldList": [{"name": "name", "message": "too long"}],
}
LIMIT = {"message": "too many", "limit": 5, "resourceId": "r", "resourceType": "ROOM"}
ID = {"x-amzn-RequestId": "the-request"}
OLD = {"Date": "Thu, 01 Jan 2015 00:00:00 GMT"}
EXPIRED = "Signature expired: 20150101T000000Z is now earlier than 20150102T000000Z"


def _error(code: str, status: int, **members: object) -> Scripted:
    body = {"message": "said", **members}
    return Scripted(status, body, {**ID, "x-amzn-ErrorType": f"{code}:http://internal/"})


class Case(msgspec.Struct, frozen=True):
    """What a server answers in turn, to clients with some options."""

    answers: tuple[Scripted, ...]
    options: dict[str, Any] = {}
    operation: str = "ListRooms"
    params: dict[str, Any] = {}
    unsigned: bool = False


OK = Scripted(200, {"rooms": []}, ID)
CASES: dict[str, Case] = {
    "success": Case((OK,)),
    "500, then success": Case((_error("InternalServerException", 500), OK)),
    "503 without a body, four times": Case((Scripted(503, b"", ID),)),
    "502 that is no JSON": Case((Scripted(502, b"<html>", {**ID, "Content-Type": "text/html"}),)),
    "429 for ever": Case((Scripted(429, {"__type": "ThrottlingException", **LIMIT}, ID),)),
    "429 without a code": Case((Scripted(429, b"{}", ID), OK)),
    "Throttling as 400": Case((_error("Throttling", 400), OK)),
    "max_retries 0": Case((_error("InternalServerException", 500),), {"maxRetries": 0}),
    "max_retries 1": Case((_error("InternalServerException", 500),), {"maxRetries": 1}),
    "ValidationException": Case((Scripted(400, VALIDATION, ID),)),
    "ResourceNotFoundException": Case(
        (Scripted(404, {"__type": "aws#ResourceNotFoundException", **LIMIT}, ID),)
    ),
    "ServiceQuotaExceededException": Case((_error("ServiceQuotaExceededException", 402, **LIMIT),)),
    "ConflictException": Case((_error("ConflictException", 409, **LIMIT),)),
    "AccessDeniedException": Case((_error("AccessDeniedException", 403),)),
    "PendingVerification": Case((_error("PendingVerification", 403),)),
    "a code that nobody knows": Case((Scripted(418, {"code": "Teapot", "Message": "short"}, ID),)),
    "an error without a code": Case((Scripted(400, {"message": "said"}, ID),)),
    "an error without a request id": Case((Scripted(400, {"__type": "X"}),)),
    "ExpiredTokenException is tried again": Case((_error("ExpiredTokenException", 403), OK)),
    "RequestExpired is tried again": Case((_error("RequestExpired", 400), OK)),
    "an expired signature is made again": Case(
        (_error("InvalidSignatureException", 403, message=EXPIRED), OK)
    ),
    "another wrong signature is not": Case((_error("InvalidSignatureException", 403), OK)),
    "correct_clock_skew: a wrong signature is": Case(
        (_error("InvalidSignatureException", 403), OK), {"correctClockSkew": True}
    ),
    "correct_clock_skew: the server's time is taken": Case(
        (
            Scripted(403, {"__type": "SignatureDoesNotMatch"}, {**ID, **OLD}),
            Scripted(200, {"rooms": []}, {**ID, **OLD}),
        ),
        {"correctClockSkew": True},
    ),
    "correct_clock_skew false: it is not": Case(
        (Scripted(403, {"__type": "SignatureDoesNotMatch"}, {**ID, **OLD}),),
    ),
    "system_clock_offset": Case((OK,), {"systemClockOffset": -20 * 365 * 86_400_000}),
    "a redirect": Case(
        (Scripted(307, b"", {"Location": "{url}/a%20redirect/ListRooms"}), OK), {"maxRetries": 0}
    ),
    "max_redirects 0": Case(
        (Scripted(307, b"", {"Location": "{url}/elsewhere", **ID}),),
        {"maxRetries": 0, "maxRedirects": 0},
    ),
    "a lost connection, then success": Case((Scripted(0), OK)),
    "a lost connection, for ever": Case((Scripted(0),), {"maxRetries": 1}),
    "timeout, then success": Case((Scripted(-1), OK), {"httpOptions": {"timeout": 300}}),
    "timeout, for ever": Case((Scripted(-1),), {"httpOptions": {"timeout": 50}, "maxRetries": 1}),
    "make_unauthenticated_request": Case((OK,), unsigned=True),
    "params: bound to every request": Case(
        (OK,), {"params": {"maxResults": 7, "identifier": "x", "name": "b"}}, params={"name": "a"}
    ),
    "MissingRequiredParameter": Case((OK,), operation="GetRoom"),
    "MultipleValidationErrors": Case((OK,), operation="GetRoom", params={"maxResults": 1}),
    "param_validation false": Case(
        (Scripted(200, {"arn": "a", "id": "i"}, ID),),
        {"paramValidation": False},
        "GetRoom",
        {"unknown": 1, "identifier": 5},
    ),
    "Missing region in config": Case((OK,), {"region": ""}),
    "Invalid region in config": Case((OK,), {"region": "no/region"}),
}
"""As in the SDK for JavaScript."""

KEYS = {"accessKeyId": "AKIAIOSFODNN7EXAMPLE", "secretAccessKey": "secret"}


def _snake(options: Mapping[str, object]) -> dict[str, object]:
    return {re.sub(r"([A-Z])", r"_\1", name).lower(): value for name, value in options.items()}


async def _python_outcome(case: Case, options: dict[str, Any]) -> dict[str, Any]:
    async with Ivschat(**_snake(options)) as ivschat:  # type: ignore[arg-type]  # as JSON says
        make = ivschat.make_unauthenticated_request if case.unsigned else ivschat.make_request
        try:
            response = await make(case.operation, case.params)
        except IvschatError as error:
            names = ("reason", "fieldList", "resourceId", "resourceType", "limit")
            shown = {
                "code": error.code,
                "message": error.message or None,
                "statusCode": error.status_code,
                "requestId": error.request_id,
                "retryable": error.retryable,
                "members": {name: error.members[name] for name in names if name in error.members},
            }
            return {"error": shown, "retryCount": error.retry_count}
    return {
        "requestId": response.request_id,
        "retryCount": response.retry_count,
        "redirectCount": response.redirect_count,
    }


def test_the_reference_lists_every_case() -> None:
    """Each under its name, in the table of outcomes."""
    table = PAGE.read_text().partition("## Outcomes")[2].partition("\n##")[0]
    assert re.findall(r"^\| ([^|]+?) +\|", table, re.MULTILINE)[2:] == list(CASES)


async def test_outcomes_are_those_of_javascript() -> None:
    """Data, errors with all members, attempts and what was sent, case by case."""
    async with recording() as peer:
        pythons, javascripts = [], []
        for index, case in enumerate(CASES.values()):
            script = [
                msgspec.structs.replace(
                    each,
                    headers={k: v.replace("{url}", peer.url) for k, v in each.headers.items()},
                )
                for each in case.answers
            ]
            peer.scripts |= {f"python{index}": script, f"js{index}": script}
            peer.scripts["a%20redirect"] = [OK]
            given = {"region": "r", "retryDelayOptions": {"base": 1}, **KEYS, **case.options}
            pythons.append({"endpoint": f"{peer.url}/python{index}", **given})
            javascripts.append(
                {
                    "options": {"endpoint": f"{peer.url}/js{index}", **given},
                    "operation": case.operation,
                    "params": case.params,
                    "unsigned": case.unsigned,
                }
            )
        ours = [
            await _python_outcome(case, options)
            for case, options in zip(CASES.values(), pythons, strict=True)
        ]
        mine, peer.recorded = [_sent(each) for each in peer.recorded], []
        outcomes, _ = await by_javascript(javascripts, [])
        theirs = [_sent(each) for each in peer.recorded]
        for index, name in enumerate(CASES):
            our, their = ours[index], _comparable(outcomes[index])
            assert {k: their.get(k) for k in our} == our, name
            assert peer.count[f"python{index}"] == peer.count[f"js{index}"], name
        assert mine == theirs


def _sent(request: Recorded) -> tuple[object, ...]:
    path = re.sub(r"^/(python|js)", "/", request.path)
    year = request.headers.get("x-amz-date", "")[:4]
    return request.method, path, request.query, request.parsed, year


def _comparable(outcome: dict[str, Any]) -> dict[str, Any]:
    """Return an outcome whose error has every member, None where JavaScript has none."""
    error = outcome.get("error")
    if error is not None:
        for name in ("statusCode", "requestId", "message"):
            error.setdefault(name, None)
    return outcome


# ------------------------------------------------------------------------------- the validation

ALL = {"min": True, "max": True, "pattern": True, "enum": True}
JUDGED: list[tuple[str, Any, dict[str, bool]]] = [
    ("CreateRoom", {}, ALL),
    ("CreateRoom", {"name": "no spaces", "maximumMessageLength": 501}, ALL),
    ("CreateRoom", {"name": "no spaces", "maximumMessageLength": 501}, {"min": True}),
    ("CreateRoom", {"maximumMessageRatePerSecond": 0}, {"min": True}),
    ("CreateRoom", {"maximumMessageRatePerSecond": 0}, {"max": True}),
    ("CreateRoom", {"maximumMessageRatePerSecond": "7", "maximumMessageLength": "x"}, ALL),
    ("CreateRoom", {"maximumMessageRatePerSecond": True}, ALL),
    ("CreateRoom", {"name": 5, "tags": 5, "loggingConfigurationIdentifiers": {}}, {}),
    ("CreateRoom", {"name": None, "tags": None}, ALL),
    ("CreateRoom", {"tags": {"": "x" * 257, "k": 5}}, ALL),
    ("CreateRoom", {"tags": {f"k{number}": "" for number in range(51)}}, ALL),
    ("CreateRoom", {"messageReviewHandler": {"uri": "x", "fallbackResult": "MAYBE"}}, ALL),
    ("CreateRoom", {"messageReviewHandler": {"uri": 5, "more": 1}}, ALL),
    ("CreateRoom", {"messageReviewHandler": 5, "unknown": 1, "other": None}, ALL),
    ("CreateRoom", {"loggingConfigurationIdentifiers": ["", 5, "x", "y"]}, ALL),
    ("CreateLoggingConfiguration", {}, ALL),
    ("CreateLoggingConfiguration", {"destinationConfiguration": {"s3": {}, "x": {}}}, ALL),
    ("CreateLoggingConfiguration", {"destinationConfiguration": {"s3": 5}}, ALL),
    ("CreateLoggingConfiguration", {"destinationConfiguration": 5}, ALL),
    ("CreateChatToken", {"roomIdentifier": "x", "userId": "🎉" * 65}, ALL),
    ("CreateChatToken", {"userId": "", "capabilities": ["FLY"], "attributes": {"a": 5}}, ALL),
    ("DeleteMessage", {"roomIdentifier": "", "id": "short", "reason": ""}, {"min": True}),
    ("ListTagsForResource", {"resourceArn": ""}, ALL),
    ("ListTagsForResource", {"resourceArn": ""}, {}),
    ("UntagResource", {"resourceArn": "x", "tagKeys": "x"}, ALL),
    ("TagResource", {"resourceArn": "x"}, ALL),
]


async def test_validation_says_what_javascript_says() -> None:
    """Codes and texts are the SDK's, where its model has the service's constraints."""
    validations = [{"operation": o, "params": p, "rules": r} for o, p, r in JUDGED]
    _, judgements = await by_javascript([], validations)
    for (operation, params, rules), theirs in zip(JUDGED, judgements, strict=True):
        ours = None
        try:
            validate(OPERATIONS[operation].input, params, ParamValidation(**rules))
        except ParameterError as error:
            # Ours knows the service's own capabilities, too.
            message = re.sub(r"\|greenroom:[A-Z]+", "", error.message)
            ours = {"code": error.code, "message": message}
        assert ours == theirs
    assert judgements.count(None) in range(1, len(JUDGED) // 2)
