"""What the acceptance tests of Terraform's AWS provider expect of the service: T1 to T16.

Source: hashicorp/terraform-provider-aws, `internal/service/ivschat`: the files `room*.go`,
`logging_configuration*.go`, `wait.go`, `status.go` and `tags_gen.go`. The provider makes the same
calls through the AWS SDK for Go.
"""

import re
from typing import Any

from tests.interop.answers import ACCOUNT, LAMBDA, S3, fields, refusal, s3, status
from tests.running.service import Service


def test_t01_lists(client: Any) -> None:
    """T1: The pre-check lists rooms and logging configurations."""
    assert status(client.list_rooms()) == 200
    assert status(client.list_logging_configurations()) == 200


def test_t02_arns(client: Any) -> None:
    """T2: A resource is identified by its ARN."""
    prefix = f"arn:aws:ivschat:{client.meta.region_name}:{ACCOUNT}:"
    assert re.fullmatch(f"{prefix}room/.+", client.create_room()["arn"])
    assert re.fullmatch(f"{prefix}logging-configuration/.+", s3(client)["arn"])


def test_t03_empty_room(client: Any) -> None:
    """T3: A room without arguments plans nothing more after its creation."""
    room = client.get_room(identifier=client.create_room()["arn"])
    assert "messageReviewHandler" not in room
    assert room.get("name", "") == ""
    assert (room["maximumMessageLength"], room["maximumMessageRatePerSecond"]) == (500, 10)


def test_t04_two_polls(client: Any) -> None:
    """T4: A created room is found by two polls one after the other."""
    arn = client.create_room()["arn"]
    assert [client.get_room(identifier=arn)["arn"] for _ in range(2)] == [arn, arn]


def test_t05_computed_fallback(client: Any) -> None:
    """T5: A handler of which only the uri is given has the fallback result ALLOW."""
    arn = client.create_room(messageReviewHandler={"uri": LAMBDA})["arn"]
    handler = client.get_room(identifier=arn)["messageReviewHandler"]
    assert handler == {"uri": LAMBDA, "fallbackResult": "ALLOW"}


def test_t06_removed_uri(client: Any) -> None:
    """T6: A removed uri is read back as an empty one, in a handler that is there."""
    arn = client.create_room(messageReviewHandler={"uri": LAMBDA})["arn"]
    removed = {"uri": "", "fallbackResult": "ALLOW"}
    client.update_room(identifier=arn, messageReviewHandler=removed)
    assert client.get_room(identifier=arn)["messageReviewHandler"] == removed


def test_t07_update(client: Any) -> None:
    """T7: An update in place keeps the ARN and is read back exactly."""
    arn = client.create_room(name="before")["arn"]
    change = {
        "name": "updated",
        "maximumMessageLength": 123,
        "maximumMessageRatePerSecond": 5,
        "messageReviewHandler": {"uri": LAMBDA, "fallbackResult": "DENY"},
    }
    assert client.update_room(identifier=arn, **change)["arn"] == arn
    assert client.get_room(identifier=arn).items() >= change.items()


def test_t08_partial_update(client: Any) -> None:
    """T8: An update of one member keeps the others."""
    arn = client.create_room(name="kept", maximumMessageLength=123)["arn"]
    client.update_room(identifier=arn, maximumMessageRatePerSecond=5)
    room = client.get_room(identifier=arn)
    assert (room["name"], room["maximumMessageLength"]) == ("kept", 123)


def test_t09_attachments(client: Any) -> None:
    """T9: Attached logging configurations keep their order, are replaced, and cleared."""
    logs = [s3(client)["arn"] for _ in range(3)]
    arn = client.create_room(loggingConfigurationIdentifiers=[logs[1], logs[0]])["arn"]

    def attached() -> list[str]:
        return list(client.get_room(identifier=arn).get("loggingConfigurationIdentifiers") or [])

    assert attached() == [logs[1], logs[0]]
    for wanted in ([logs[0], logs[1], logs[2]], [logs[2]], []):
        client.update_room(identifier=arn, loggingConfigurationIdentifiers=wanted)
        assert attached() == wanted


def test_t10_states(client: Any) -> None:
    """T10: A logging configuration is never seen in a state that the waiter refuses."""
    arn = s3(client)["arn"]

    def states() -> set[str]:
        return {client.get_logging_configuration(identifier=arn)["state"] for _ in range(2)}

    assert states() == {"ACTIVE"}
    assert client.update_logging_configuration(identifier=arn, name="n")["state"] == "ACTIVE"
    assert states() == {"ACTIVE"}
    client.delete_logging_configuration(identifier=arn)
    refusal(client, "ResourceNotFoundException", "get_logging_configuration", identifier=arn)


def test_t11_destinations(client: Any) -> None:
    """T11: Each kind of destination is read back."""
    for destination in (
        {"cloudWatchLogs": {"logGroupName": "tf-acc-test"}},
        {"firehose": {"deliveryStreamName": "tf-acc-test"}},
        {"s3": {"bucketName": "tf-acc-test"}},
    ):
        arn = client.create_logging_configuration(destinationConfiguration=destination)["arn"]
        read = client.get_logging_configuration(identifier=arn)
        assert (read["destinationConfiguration"], read["state"]) == (destination, "ACTIVE")


def test_t12_rename(client: Any) -> None:
    """T12: Renaming a logging configuration keeps its ARN."""
    arn = s3(client, name="before")["arn"]
    client.update_logging_configuration(identifier=arn, name="after")
    read = client.get_logging_configuration(identifier=arn)
    assert (read["arn"], read["name"]) == (arn, "after")


def test_t13_tags(client: Any) -> None:
    """T13: Tags are removed, then added or overwritten, and the others stay."""
    for resource in (
        client.create_room(tags={"key1": "value1"}),
        s3(client, tags={"key1": "value1"}),
    ):
        arn = resource["arn"]
        client.tag_resource(resourceArn=arn, tags={"key1": "value1updated", "key2": "value2"})
        both = {"key1": "value1updated", "key2": "value2"}
        assert client.list_tags_for_resource(resourceArn=arn)["tags"] == both
        client.untag_resource(resourceArn=arn, tagKeys=["key1"])
        assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"key2": "value2"}
        client.untag_resource(resourceArn=arn, tagKeys=["key2"])
        assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {}


def test_t14_gone(client: Any) -> None:
    """T14: What is gone is ResourceNotFoundException, to delete it as to get it."""
    room, logs = client.create_room()["arn"], s3(client)["arn"]
    client.delete_room(identifier=room)
    client.delete_logging_configuration(identifier=logs)
    for operation in ("get_room", "delete_room"):
        refusal(client, "ResourceNotFoundException", operation, identifier=room)
    for operation in ("get_logging_configuration", "delete_logging_configuration"):
        refusal(client, "ResourceNotFoundException", operation, identifier=logs)


def test_t15_one_destination(service: Service) -> None:
    """T15: Two destinations are an invalid combination, and so is none."""
    # botocore itself refuses such unions: this is what clients get that do not.
    client = service.boto3(parameter_validation=False)
    for union in ({**S3, "firehose": {"deliveryStreamName": "stream"}}, {}):
        parameters = {"destinationConfiguration": union}
        refused = refusal(
            client, "ValidationException", "create_logging_configuration", **parameters
        )
        assert fields(refused) == ["destinationConfiguration"]


def test_t16_region_override(service: Service) -> None:
    """T16: A resource lives in the region of the request that created it."""
    for region in ("us-west-2", "ap-northeast-1"):
        client = service.boto3(region=region)
        arn = client.create_room()["arn"]
        assert arn.split(":")[3] == region
        assert [room["arn"] for room in client.list_rooms()["rooms"]] == [arn]
