"""boto3: every error of the service model, as its typed exception with status and members."""

import io
import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.retries import standard

from greenroom.aws import rest_json
from greenroom.model.errors import (
    AccessDeniedException,
    InternalServerException,
    PendingVerification,
    ServiceError,
)
from tests.interop.answers import ACCOUNT, LAMBDA, S3, fields, refusal, s3, status
from tests.running.service import Service, running

CALLS_UNTIL_THROTTLED = 500
"""Far more than a second's worth, so that only a machine that stands still can miss it."""


@pytest.fixture
def lax(service: Service) -> Iterator[Any]:
    """Return a client that checks nothing before it sends."""
    made = service.boto3(parameter_validation=False)
    yield made
    made.close()


@pytest.fixture(scope="module")
def small_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service with small quotas."""
    data_dir = tmp_path_factory.mktemp("small-service") / "data"
    quotas = "rooms=2,logging_configurations=1,tags_per_resource=3"
    with running(data_dir, GREENROOM_QUOTAS=quotas, GREENROOM_REGIONS="*") as started:
        yield started


def arn(region: str, kind: str, name: str = "AbCdEf123456") -> str:
    """Return the ARN of a resource that no test creates."""
    return f"arn:aws:ivschat:{region}:{ACCOUNT}:{kind}/{name}"


# ----------------------------------------------------------------------------------- validation


def test_validation_names_every_field_at_once(lax: Any) -> None:
    """One answer blames each member that breaks a rule, by its path."""
    refused = refusal(
        lax,
        "ValidationException",
        "create_room",
        name="not a name!",
        maximumMessageRatePerSecond=101,
        maximumMessageLength=0,
        messageReviewHandler={"uri": "arn:aws:sns:x", "fallbackResult": "PERHAPS"},
        tags={"aws:reserved": "", "k" * 129: "v", "key": "v" * 257},
        loggingConfigurationIdentifiers=["logs", *[arn("us-east-1", "logging-configuration")] * 3],
    )
    assert status(refused) == 400
    assert set(fields(refused)) >= {
        "name",
        "maximumMessageRatePerSecond",
        "maximumMessageLength",
        "messageReviewHandler.uri",
        "messageReviewHandler.fallbackResult",
        f"tags.{'k' * 128}",
        "tags.key",
        "loggingConfigurationIdentifiers",
        "loggingConfigurationIdentifiers[0]",
    }
    assert all(name in refused["message"] for name in fields(refused))


ROOM = arn("us-east-1", "room")
CONFIGURATION = arn("us-east-1", "logging-configuration")


@pytest.mark.parametrize(
    ("operation", "parameters", "blamed"),
    [
        ("create_chat_token", {}, ["roomIdentifier", "userId"]),
        ("create_chat_token", {"roomIdentifier": ROOM, "userId": "u" * 129}, ["userId"]),
        (
            "create_chat_token",
            {
                "roomIdentifier": ROOM,
                "userId": "",
                "capabilities": ["SEND_MESSAGE", "VIEW_MESSAGE"],
                "sessionDurationInMinutes": 181,
            },
            ["userId", "capabilities[1]", "sessionDurationInMinutes"],
        ),
        (
            "create_chat_token",
            {"roomIdentifier": ROOM, "userId": "u", "attributes": {"ü": "x" * 1023}},
            ["attributes"],
        ),
        ("create_logging_configuration", {}, ["destinationConfiguration"]),
        (
            "create_logging_configuration",
            {"destinationConfiguration": {}},
            ["destinationConfiguration"],
        ),
        (
            "create_logging_configuration",
            {
                "destinationConfiguration": {
                    "s3": {"bucketName": "UP"},
                    "firehose": {"deliveryStreamName": "a b"},
                }
            },
            [
                "destinationConfiguration.s3.bucketName",
                "destinationConfiguration.s3.bucketName",
                "destinationConfiguration.firehose.deliveryStreamName",
                "destinationConfiguration",
            ],
        ),
        ("delete_logging_configuration", {"identifier": ROOM}, ["identifier"]),
        (
            "delete_message",
            {"roomIdentifier": ROOM, "id": "short", "reason": ""},
            ["id", "reason"],
        ),
        ("delete_room", {"identifier": "AbCdEf123456"}, ["identifier"]),
        (
            "disconnect_user",
            {"roomIdentifier": CONFIGURATION, "userId": "u", "reason": "r" * 257},
            ["roomIdentifier", "reason"],
        ),
        ("get_logging_configuration", {}, ["identifier"]),
        ("get_room", {"identifier": ROOM + "\n"}, ["identifier"]),
        ("list_logging_configurations", {"maxResults": 51}, ["maxResults"]),
        (
            "list_rooms",
            {"maxResults": 0, "name": "ä", "nextToken": "n" * 1025},
            ["name", "nextToken", "maxResults"],
        ),
        ("list_tags_for_resource", {"resourceArn": "AbCdEf123456"}, ["resourceArn"]),
        (
            "send_event",
            {"roomIdentifier": ROOM, "eventName": "e" * 101, "attributes": {"k": 1}},
            ["eventName", "attributes.k"],
        ),
        (
            "send_event",
            {"roomIdentifier": ROOM, "eventName": "e", "attributes": {"k": "ü" * 512}},
            ["attributes"],
        ),
        ("tag_resource", {"resourceArn": ROOM, "tags": {"": "v"}}, ["tags."]),
        ("untag_resource", {"resourceArn": ROOM, "tagKeys": ["k", ""]}, ["tagKeys[1]"]),
        ("untag_resource", {"resourceArn": ROOM, "tagKeys": []}, ["tagKeys"]),
        (
            "update_logging_configuration",
            {
                "identifier": CONFIGURATION,
                "name": "n" * 129,
                "destinationConfiguration": {"cloudWatchLogs": {}},
            },
            ["name", "destinationConfiguration.cloudWatchLogs.logGroupName"],
        ),
        (
            "update_room",
            {"identifier": ROOM, "loggingConfigurationIdentifiers": [CONFIGURATION] * 2},
            ["loggingConfigurationIdentifiers[1]"],
        ),
    ],
)
def test_validation_of_each_operation(
    lax: Any, operation: str, parameters: dict[str, Any], blamed: list[str]
) -> None:
    """Each operation refuses what its shape forbids, before it looks for the resource."""
    refused = refusal(lax, "ValidationException", operation, **parameters)
    assert status(refused) == 400
    assert sorted(fields(refused)) == sorted(blamed)


def test_attributes_of_one_kilobyte_are_accepted(client: Any) -> None:
    """The limit counts the bytes of keys and values, and 1,024 of them are allowed."""
    room = client.create_room()["arn"]
    full = {"ü": "x" * 1022}
    assert client.send_event(roomIdentifier=room, eventName="e", attributes=full)["id"]
    assert client.create_chat_token(roomIdentifier=room, userId="u", attributes=full)["token"]


# ------------------------------------------------------------------------ not found and conflict


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("create_chat_token", {"roomIdentifier": "room", "userId": "u"}),
        ("create_room", {"loggingConfigurationIdentifiers": ["logging-configuration"]}),
        ("delete_logging_configuration", {"identifier": "logging-configuration"}),
        ("delete_message", {"roomIdentifier": "room", "id": "AbCdEf123456"}),
        ("delete_room", {"identifier": "room"}),
        ("disconnect_user", {"roomIdentifier": "room", "userId": "u"}),
        ("get_logging_configuration", {"identifier": "logging-configuration"}),
        ("get_room", {"identifier": "room"}),
        ("list_rooms", {"loggingConfigurationIdentifier": "logging-configuration"}),
        ("list_tags_for_resource", {"resourceArn": "logging-configuration"}),
        ("send_event", {"roomIdentifier": "room", "eventName": "e"}),
        ("tag_resource", {"resourceArn": "room", "tags": {"k": "v"}}),
        ("untag_resource", {"resourceArn": "logging-configuration", "tagKeys": ["k"]}),
        ("update_logging_configuration", {"identifier": "logging-configuration", "name": "n"}),
        ("update_room", {"identifier": "room", "name": "n"}),
    ],
)
def test_resource_not_found(
    client: Any, region: str, operation: str, parameters: dict[str, Any]
) -> None:
    """Every operation on a resource that does not exist says which one, by its bare id."""
    kinds = {kind: arn(region, kind) for kind in ("room", "logging-configuration")}
    found = {
        name: [kinds[item] for item in value]
        if name == "loggingConfigurationIdentifiers"
        else kinds.get(value, value)
        if isinstance(value, str)
        else value
        for name, value in parameters.items()
    }
    refused = refusal(client, "ResourceNotFoundException", operation, **found)
    about_room = "room" in parameters.values()
    assert status(refused) == 404
    assert refused["resourceId"] == "AbCdEf123456"
    assert refused["resourceType"] == ("ROOM" if about_room else "LOGGING_CONFIGURATION")


def test_an_attached_logging_configuration_cannot_be_deleted(client: Any) -> None:
    """Deleting what a room uses is a conflict until the last room lets go."""
    configuration = s3(client)
    rooms = [
        client.create_room(loggingConfigurationIdentifiers=[configuration["arn"]])["arn"]
        for _ in range(2)
    ]
    for release in (
        partial(client.update_room, identifier=rooms[0], loggingConfigurationIdentifiers=[]),
        partial(client.delete_room, identifier=rooms[1]),
    ):
        refused = refusal(
            client,
            "ConflictException",
            "delete_logging_configuration",
            identifier=configuration["arn"],
        )
        assert status(refused) == 409
        assert refused["resourceId"] == configuration["id"]
        assert refused["resourceType"] == "LOGGING_CONFIGURATION"
        release()
    assert status(client.delete_logging_configuration(identifier=configuration["arn"])) == 204


# ------------------------------------------------------------------------------ quotas and rates


def test_quota_of_rooms(small_service: Service, region: str) -> None:
    """Beyond the quota the error is 402 with the limit; a deleted room makes place, per region."""
    client = small_service.boto3(region=region)
    rooms = [client.create_room()["arn"] for _ in range(2)]
    refused = refusal(client, "ServiceQuotaExceededException", "create_room")
    assert status(refused) == 402
    assert (refused["resourceType"], refused["limit"]) == ("ROOM", 2)
    assert refused["resourceId"].isalnum()
    assert small_service.boto3(region=f"{region}-other").create_room()["arn"]
    client.delete_room(identifier=rooms[0])
    assert client.create_room()["arn"]


def test_quota_of_logging_configurations(small_service: Service, region: str) -> None:
    """The quota of logging configurations is reported as the one of rooms."""
    client = small_service.boto3(region=region)
    s3(client)
    refused = refusal(
        client,
        "ServiceQuotaExceededException",
        "create_logging_configuration",
        destinationConfiguration=S3,
    )
    assert status(refused) == 402
    assert (refused["resourceType"], refused["limit"]) == ("LOGGING_CONFIGURATION", 1)


def test_quota_of_tags(small_service: Service, region: str) -> None:
    """A lower quota of tags holds at creation and later; it is a fault of the field."""
    client = small_service.boto3(region=region)
    four = {f"key-{number}": "" for number in range(4)}
    room = client.create_room(tags={"key-0": ""})["arn"]
    for operation, parameters in (
        ("tag_resource", {"resourceArn": room}),
        ("create_room", {}),
        ("create_logging_configuration", {"destinationConfiguration": S3}),
    ):
        refused = refusal(client, "ValidationException", operation, tags=four, **parameters)
        assert fields(refused) == ["tags"]
    assert client.list_tags_for_resource(resourceArn=room)["tags"] == {"key-0": ""}


@pytest.mark.parametrize(
    ("operation", "limit", "about"),
    [
        ("list_rooms", 5, "ROOM"),
        ("list_logging_configurations", 3, "LOGGING_CONFIGURATION"),
    ],
)
def test_aws_request_rates(
    aws_service: Service, region: str, operation: str, limit: int, about: str
) -> None:
    """Under AWS's rates a client that makes one attempt sees ThrottlingException, with the rate."""
    client = aws_service.boto3(region=region)

    def call_often() -> None:
        for _ in range(CALLS_UNTIL_THROTTLED):
            getattr(client, operation)()

    with pytest.raises(client.exceptions.ThrottlingException) as caught:
        call_often()
    refused = caught.value.response
    assert status(refused) == 429
    assert (refused["resourceType"], refused["limit"]) == (about, limit)
    assert refused["resourceId"]


def test_throttled_calls_are_retried(
    aws_service: Service, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 itself retries a 429, and the call succeeds once the bucket has refilled."""
    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", lambda *_: 0.5)
    client = aws_service.boto3(region=region, attempts=3)
    calls = (client.list_rooms()["ResponseMetadata"] for _ in range(CALLS_UNTIL_THROTTLED))
    retried = next(metadata for metadata in calls if metadata["RetryAttempts"])
    assert (retried["RetryAttempts"], retried["HTTPStatusCode"]) == (1, 200)


def test_other_refusals_are_not_retried(service: Service, region: str) -> None:
    """400 and 404 are final: boto3 asks once although it may ask three times."""
    client = service.boto3(region=region, attempts=3)
    room = arn(region, "room")
    for refused in (
        refusal(client, "ResourceNotFoundException", "get_room", identifier=room),
        refusal(client, "ValidationException", "create_room", name="ä"),
    ):
        assert refused["ResponseMetadata"]["RetryAttempts"] == 0


# -------------------------------------------------------------- errors that nothing provokes yet


class _Raw(io.BytesIO):
    """A response's body as urllib3 gives it."""

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AccessDeniedException("You may not do that: é"), 403),
        (PendingVerification("Your account is pending verification"), 403),
        (InternalServerException("An internal error occurred"), 500),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_form_of_errors_that_are_not_provoked(client: Any, error: ServiceError, code: int) -> None:
    """What the service would send for the remaining errors is their typed exception in boto3."""
    answer = rest_json.serialize_error(error)
    headers = HTTPHeaders.from_dict(
        {name.decode(): value.decode() for name, value in answer.headers}
    )
    headers["x-amzn-requestid"] = "b4c4ef5d-6fcb-4b3d-8d4c-1b1f5ed0dc9a"

    def instead(request: Any, **_: object) -> AWSResponse:
        return AWSResponse(request.url, answer.status, headers, _Raw(answer.body))

    client.meta.events.register("before-send.ivschat", instead)
    refused = refusal(client, error.code, "list_tags_for_resource", resourceArn=LAMBDA)
    assert status(refused) == code
    assert refused["Error"] == {"Code": error.code, "Message": error.message}


def test_every_modelled_error_is_shown(client: Any) -> None:
    """The errors of these tests are the errors of the service model."""
    model = client.meta.service_model
    modelled = set(
        itertools.chain(
            *[
                [shape.name for shape in model.operation_model(name).error_shapes]
                for name in model.operation_names
            ]
        )
    )
    assert modelled == {
        "AccessDeniedException",
        "ConflictException",
        "InternalServerException",
        "PendingVerification",
        "ResourceNotFoundException",
        "ServiceQuotaExceededException",
        "ThrottlingException",
        "ValidationException",
    }
