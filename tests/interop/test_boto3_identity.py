"""boto3: who calls, from which region and account, with which signature, at what time."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path
from typing import Any

import boto3
import botocore.auth
import pytest
from botocore import UNSIGNED

from tests.interop.answers import ACCOUNT, members, refusal, s3, status
from tests.running.service import Service, running

ELSEWHERE = "eu-west-1"


@pytest.fixture
def elsewhere(service: Service) -> Iterator[Any]:
    """Return a client of another region."""
    made = service.boto3(region=ELSEWHERE)
    yield made
    made.close()


def clock_is_off(monkeypatch: pytest.MonkeyPatch, **by: int) -> None:
    """Let botocore's clock differ from the service's."""
    now = datetime.now(UTC).replace(tzinfo=None) + timedelta(**by)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: now)


# ------------------------------------------------------------------------- regions and accounts


def uses_of(room: str, logs: str) -> list[tuple[str, dict[str, Any]]]:
    """Return a call of each operation that names a resource."""
    return [
        ("create_chat_token", {"roomIdentifier": room, "userId": "u"}),
        ("create_room", {"loggingConfigurationIdentifiers": [logs]}),
        ("delete_logging_configuration", {"identifier": logs}),
        ("delete_message", {"roomIdentifier": room, "id": "AbCdEf123456"}),
        ("delete_room", {"identifier": room}),
        ("disconnect_user", {"roomIdentifier": room, "userId": "u"}),
        ("get_logging_configuration", {"identifier": logs}),
        ("get_room", {"identifier": room}),
        ("list_rooms", {"loggingConfigurationIdentifier": logs}),
        ("list_tags_for_resource", {"resourceArn": room}),
        ("list_tags_for_resource", {"resourceArn": logs}),
        ("send_event", {"roomIdentifier": room, "eventName": "e"}),
        ("tag_resource", {"resourceArn": room, "tags": {"k": "v"}}),
        ("untag_resource", {"resourceArn": logs, "tagKeys": ["k"]}),
        ("update_logging_configuration", {"identifier": logs, "name": "n"}),
        ("update_room", {"identifier": room, "name": "n"}),
    ]


def test_another_region_sees_and_changes_nothing(client: Any, elsewhere: Any) -> None:
    """To a client of another region a resource does not exist, whatever it asks."""
    room, logs = members(client.create_room(tags={"k": "1"})), s3(client, tags={"k": "1"})
    own = elsewhere.create_room()["arn"]
    refused = ("update_room", {"identifier": own, "loggingConfigurationIdentifiers": [logs["arn"]]})
    for operation, parameters in [*uses_of(room["arn"], logs["arn"]), refused]:
        answer = refusal(elsewhere, "ResourceNotFoundException", operation, **parameters)
        assert answer["resourceId"] in {room["id"], logs["id"]}
    assert room["arn"] not in [each["arn"] for each in elsewhere.list_rooms()["rooms"]]
    assert elsewhere.list_logging_configurations()["loggingConfigurations"] == []
    assert members(client.get_room(identifier=room["arn"])) == room
    assert members(client.get_logging_configuration(identifier=logs["arn"])) == logs
    assert f":{ELSEWHERE}:{ACCOUNT}:" in own


def test_arns_of_another_account_are_not_served(client: Any) -> None:
    """An ARN with another account's number names nothing, also when the id is right."""
    room = client.create_room()["arn"].replace(ACCOUNT, "210987654321")
    logs = s3(client)["arn"].replace(ACCOUNT, "210987654321")
    for operation, parameters in uses_of(room, logs):
        refusal(client, "ResourceNotFoundException", operation, **parameters)


def test_another_account_on_the_same_data(tmp_path: Path) -> None:
    """The account is the key's owner: under another one nothing of the first is there."""
    data_dir = tmp_path / "data"
    with running(data_dir, "--account", "111111111111") as service:
        client = service.boto3()
        room, logs = client.create_room()["arn"], s3(client)["arn"]
        assert ":111111111111:room/" in room
    with running(data_dir, "--account", "222222222222") as service:
        client = service.boto3()
        for operation, parameters in uses_of(room, logs):
            refusal(client, "ResourceNotFoundException", operation, **parameters)
        assert client.list_rooms()["rooms"] == []
        assert ":222222222222:room/" in client.create_room()["arn"]
    with running(data_dir, "--account", "111111111111") as service:
        client = service.boto3()
        assert [each["arn"] for each in client.list_rooms()["rooms"]] == [room]
        assert client.get_logging_configuration(identifier=logs)["state"] == "ACTIVE"


# ---------------------------------------------------------------------------------- credentials


def test_wrong_secret(service: Service) -> None:
    """A wrong secret is InvalidSignatureException, and the message tells nothing of the right."""
    client = service.boto3(secret="x" * 40)
    refused = refusal(client, "InvalidSignatureException", "list_rooms")
    assert status(refused) == 403
    assert "does not match" in refused["Error"]["Message"]


@pytest.mark.parametrize("key_id", ["AKIAIOSFODNN7EXAMPLE", "x"])
def test_unknown_key(service: Service, key_id: str) -> None:
    """A key that does not exist is UnrecognizedClientException."""
    client = service.boto3(access_key_id=key_id)
    assert status(refusal(client, "UnrecognizedClientException", "list_rooms")) == 403


def test_session_token(service: Service) -> None:
    """A long-term key does not go with a session token."""
    client = boto3.client(
        "ivschat",
        endpoint_url=service.api_url,
        region_name="us-east-1",
        aws_access_key_id=service.ready["access_key_id"],
        aws_secret_access_key=service.ready["secret_access_key"],
        aws_session_token="FwoGZXIvYXdzEXAMPLE",
    )
    assert status(refusal(client, "UnrecognizedClientException", "list_rooms")) == 403


def test_no_signature(service: Service) -> None:
    """An unsigned request is MissingAuthenticationTokenException."""
    client = service.boto3(signature_version=UNSIGNED)
    assert status(refusal(client, "MissingAuthenticationTokenException", "list_rooms")) == 403


def test_signature_for_another_service(service: Service) -> None:
    """A signature whose scope names another service is SignatureDoesNotMatch."""
    client = service.boto3()
    client.meta.events.register(
        "choose-signer.ivschat", lambda context, **_: context.update(signing={"signing_name": "s3"})
    )
    refused = refusal(client, "SignatureDoesNotMatch", "list_rooms")
    assert status(refused) == 403
    assert "'ivschat'" in refused["Error"]["Message"]


# ----------------------------------------------------------------------------------- the clock


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_clock_within_the_window(
    service: Service, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """A clock may be off by less than 15 minutes, both ways."""
    client = service.boto3()
    clock_is_off(monkeypatch, minutes=minutes)
    assert status(client.list_rooms()) == 200


@pytest.mark.parametrize(
    ("minutes", "words"), [(-16, "Signature expired: "), (16, "Signature not yet current: ")]
)
def test_a_clock_outside_the_window(
    service: Service, monkeypatch: pytest.MonkeyPatch, minutes: int, words: str
) -> None:
    """Outside the window the error says which way the clock is off, and the service's own time."""
    client = service.boto3()
    clock_is_off(monkeypatch, minutes=minutes)
    refused = refusal(client, "InvalidSignatureException", "list_rooms")
    assert status(refused) == 403
    assert refused["Error"]["Message"].startswith(words)
    assert refused["ResponseMetadata"]["HTTPHeaders"]["date"].endswith(" GMT")


# ----------------------------------------------------------------------------- presigned requests


def fetched(url: str, method: str = "GET") -> tuple[int, Message, Any]:
    """Return the answer to a request that has nothing but its URL."""
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.load(error)


def presigned(client: Any, arn: str, **options: Any) -> str:
    """Return a presigned ListTagsForResource."""
    return str(
        client.generate_presigned_url("list_tags_for_resource", {"resourceArn": arn}, **options)
    )


def test_presigned_requests(client: Any) -> None:
    """The query form of the signature is as good as the header form."""
    room = client.create_room(tags={"a b+ü": "ü", "key": ""})["arn"]
    url = presigned(client, room, ExpiresIn=604_800)
    assert fetched(url)[::2] == (200, {"tags": {"a b+ü": "ü", "key": ""}})
    untag = {"resourceArn": room, "tagKeys": ["a b+ü"]}  # botocore presigns one value of a list
    url = client.generate_presigned_url("untag_resource", untag)
    assert fetched(url, "DELETE")[::2] == (200, {})
    assert client.list_tags_for_resource(resourceArn=room)["tags"] == {"key": ""}


def test_presigned_requests_that_are_refused(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another resource, method, lifetime or time than signed is refused by AWS's names."""
    room = client.create_room()["arn"]
    good = presigned(client, room)
    refused = [
        (good.replace("room", "moor"), "GET", 403, "InvalidSignatureException"),
        (good, "DELETE", 403, "InvalidSignatureException"),
        (good + "&more=1", "GET", 403, "InvalidSignatureException"),
        (presigned(client, room, ExpiresIn=604_801), "GET", 400, "IncompleteSignatureException"),
        (good.partition("&X-Amz-Signature")[0], "GET", 400, "IncompleteSignatureException"),
        (good.partition("?")[0], "GET", 403, "MissingAuthenticationTokenException"),
    ]
    clock_is_off(monkeypatch, seconds=-120)
    refused.append((presigned(client, room, ExpiresIn=60), "GET", 400, "RequestExpired"))
    clock_is_off(monkeypatch, minutes=16)
    refused.append((presigned(client, room), "GET", 403, "InvalidSignatureException"))
    for url, method, code, name in refused:
        answered, headers, body = fetched(url, method)
        assert (answered, headers["x-amzn-errortype"], body["__type"]) == (code, name, name)
