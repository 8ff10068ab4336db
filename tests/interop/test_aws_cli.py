"""The AWS CLI: all 17 operations, as a person types them, and the line that `serve` prints."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.interop.answers import ACCOUNT, LAMBDA, s3
from tests.running import command
from tests.running.copies import Copies
from tests.running.said import banner
from tests.running.service import Service, environment

AWS = Path(sys.executable).with_name("aws")
WIRE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"

Aws = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def aws(service: Service, region: str, tmp_path: Path) -> Aws:
    """Return what calls `aws ivschat` at the service's endpoint, in the test's region."""

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return copy_of_aws(
            *("ivschat", *arguments, "--endpoint-url", service.api_url),
            HOME=str(tmp_path),
            AWS_DEFAULT_REGION=region,
            AWS_ACCESS_KEY_ID=service.ready["access_key_id"],
            AWS_SECRET_ACCESS_KEY=service.ready["secret_access_key"],
        )

    return call


SET = {"AWS_MAX_ATTEMPTS": "1", "PYTHONUTF8": "1"}

COPIES = Copies(
    environment(**SET, HOME="/nonexistent"), "awscli", ["awscli.clidriver", "awscli.handlers"]
)
"""What starts the AWS CLI: Python takes nine tenths of a call to import it.

Where it keeps what roles were given is decided then, by `HOME`: roles are not for copies.
"""


def copy_of_aws(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the AWS CLI, as `run` does a command."""
    return command.ended(arguments, {**SET, **variables}, copies=COPIES)


def run(words: list[str], **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with nothing of this machine's AWS settings, and these variables."""
    return subprocess.run(
        words,
        env=environment(**SET, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def output(done: "subprocess.CompletedProcess[str]") -> Any:
    """Return the JSON that a command printed; it must have succeeded."""
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def silent(done: "subprocess.CompletedProcess[str]") -> bool:
    """Return whether a command succeeded and printed nothing, or an empty object."""
    return (done.returncode, done.stderr) == (0, "") and done.stdout in {"", "{}\n"}


@pytest.fixture
def room(client: Any) -> str:
    """Return the ARN of a room."""
    return str(client.create_room(name="room")["arn"])


# ---------------------------------------------------------------------------------------- rooms


def test_create_room(aws: Aws, client: Any, region: str) -> None:
    """Shorthand for tags, handler and lists reaches the room; times are as on the wire."""
    logs = [s3(client)["arn"] for _ in range(2)]
    made = output(
        aws(
            "create-room",
            *("--name", "test-room-1"),
            *("--maximum-message-length", "256"),
            *("--maximum-message-rate-per-second", "5"),
            *("--message-review-handler", f"uri={LAMBDA},fallbackResult=DENY"),
            *("--tags", "stage=test,size=über alles"),
            *("--logging-configuration-identifiers", *logs),
        )
    )
    assert made == {
        "arn": f"arn:aws:ivschat:{region}:{ACCOUNT}:room/{made['id']}",
        "id": made["id"],
        "name": "test-room-1",
        "createTime": made["createTime"],
        "updateTime": made["updateTime"],
        "maximumMessageRatePerSecond": 5,
        "maximumMessageLength": 256,
        "messageReviewHandler": {"uri": LAMBDA, "fallbackResult": "DENY"},
        "tags": {"stage": "test", "size": "über alles"},
        "loggingConfigurationIdentifiers": logs,
    }
    assert re.fullmatch(WIRE_TIME, made["createTime"])
    assert re.fullmatch(WIRE_TIME, made["updateTime"])


def test_get_room(aws: Aws, room: str) -> None:
    """A room's output has no member that was not set."""
    read = output(aws("get-room", "--identifier", room))
    assert read["arn"] == room
    assert read["tags"] == {}
    assert read["loggingConfigurationIdentifiers"] == []
    assert "messageReviewHandler" not in read


def test_update_room(aws: Aws, room: str) -> None:
    """An empty name is sent as one, and clears the name."""
    changed = output(aws("update-room", "--identifier", room, "--name", ""))
    assert (changed["arn"], changed["name"]) == (room, "")


def test_list_rooms(aws: Aws, room: str) -> None:
    """An empty token, as AWS's own examples pass it, asks for the first page."""
    listed = output(aws("list-rooms", "--next-token", "", "--max-results", "1", "--name", "room"))
    assert [each["arn"] for each in listed.pop("rooms")] == [room]
    assert listed == {}


def test_delete_room(aws: Aws, client: Any, room: str) -> None:
    """Deleting prints nothing."""
    assert silent(aws("delete-room", "--identifier", room))
    assert client.list_rooms()["rooms"] == []


# ----------------------------------------------------------------------- logging configurations


def test_create_logging_configuration(aws: Aws, region: str) -> None:
    """A destination in shorthand makes a configuration that is ACTIVE."""
    made = output(
        aws(
            "create-logging-configuration",
            *("--name", "test-logging-configuration"),
            *("--destination-configuration", "s3={bucketName=demo-logging-bucket}"),
            *("--tags", "key1=value1,key2="),
        )
    )
    assert made == {
        "arn": f"arn:aws:ivschat:{region}:{ACCOUNT}:logging-configuration/{made['id']}",
        "id": made["id"],
        "name": "test-logging-configuration",
        "createTime": made["createTime"],
        "updateTime": made["updateTime"],
        "destinationConfiguration": {"s3": {"bucketName": "demo-logging-bucket"}},
        "state": "ACTIVE",
        "tags": {"key1": "value1", "key2": ""},
    }
    assert re.fullmatch(WIRE_TIME, made["updateTime"])


def test_get_logging_configuration(aws: Aws, client: Any) -> None:
    """A configuration is read back."""
    logs = s3(client)
    read = output(aws("get-logging-configuration", "--identifier", logs["arn"]))
    assert (read["id"], read["state"]) == (logs["id"], "ACTIVE")


def test_update_logging_configuration(aws: Aws, client: Any) -> None:
    """A destination given as JSON replaces the one before."""
    destination = {"cloudWatchLogs": {"logGroupName": "/chat/logs"}}
    changed = output(
        aws(
            "update-logging-configuration",
            *("--identifier", s3(client)["arn"]),
            *("--destination-configuration", json.dumps(destination)),
        )
    )
    assert (changed["destinationConfiguration"], changed["state"]) == (destination, "ACTIVE")


def test_list_logging_configurations(aws: Aws, client: Any) -> None:
    """A page that is not the last one has a token."""
    arns = [s3(client)["arn"] for _ in range(2)]
    listed = output(aws("list-logging-configurations", "--max-results", "1", "--next-token", ""))
    assert [each["arn"] for each in listed["loggingConfigurations"]] == arns[1:]
    following = client.list_logging_configurations(nextToken=listed["nextToken"])
    assert [each["arn"] for each in following["loggingConfigurations"]] == arns[:1]


def test_delete_logging_configuration(aws: Aws, client: Any) -> None:
    """Deleting prints nothing."""
    assert silent(aws("delete-logging-configuration", "--identifier", s3(client)["arn"]))
    assert client.list_logging_configurations()["loggingConfigurations"] == []


# ----------------------------------------------------------------------------------------- tags


def test_tag_resource(aws: Aws, client: Any, room: str) -> None:
    """Tags in shorthand are kept; nothing is printed."""
    assert silent(aws("tag-resource", "--resource-arn", room, "--tags", "key1=value1,a:b=c d"))
    assert client.get_room(identifier=room)["tags"] == {"key1": "value1", "a:b": "c d"}


def test_untag_resource(aws: Aws, client: Any, room: str) -> None:
    """Several keys, some of them hard to carry in a query, are removed at once."""
    keys = ["key1", "a:b", "a1", "x y", "ü/+="]
    client.tag_resource(resourceArn=room, tags=dict.fromkeys([*keys, "kept"], ""))
    assert silent(aws("untag-resource", "--resource-arn", room, "--tag-keys", *keys))
    assert client.get_room(identifier=room)["tags"] == {"kept": ""}


def test_list_tags_for_resource(aws: Aws, client: Any, room: str) -> None:
    """Tags are listed as an object, whatever their letters."""
    client.tag_resource(resourceArn=room, tags={"Größe": "½"})
    listed = output(aws("list-tags-for-resource", "--resource-arn", room))
    assert listed == {"tags": {"Größe": "½"}}


# ------------------------------------------------------------------------- tokens and moderation


def test_create_chat_token(aws: Aws, room: str) -> None:
    """A token with every option is printed with its two times."""
    made = output(
        aws(
            "create-chat-token",
            *("--room-identifier", room),
            *("--user-id", "Zoë 🎭"),
            *("--capabilities", "SEND_MESSAGE", "DISCONNECT_USER"),
            *("--session-duration-in-minutes", "30"),
            *("--attributes", "displayName=Zoë"),
        )
    )
    assert made.keys() == {"token", "tokenExpirationTime", "sessionExpirationTime"}
    assert re.fullmatch(WIRE_TIME, made["tokenExpirationTime"])
    assert re.fullmatch(WIRE_TIME, made["sessionExpirationTime"])


def test_delete_message(aws: Aws, room: str) -> None:
    """The id of the event is printed."""
    sent = output(
        aws("delete-message", "--room-identifier", room, "--id", "ABC123def456", "--reason", "x")
    )
    assert re.fullmatch("[a-zA-Z0-9]{12}", sent.pop("id"))
    assert sent == {}


def test_disconnect_user(aws: Aws, room: str) -> None:
    """Disconnecting prints nothing."""
    assert silent(aws("disconnect-user", "--room-identifier", room, "--user-id", "someone"))


def test_send_event(aws: Aws, room: str) -> None:
    """The id of the event is printed."""
    sent = output(
        aws(
            "send-event",
            *("--room-identifier", room),
            *("--event-name", "SystemMessage"),
            *("--attributes", "msgType=user-notification,msgText=hello"),
        )
    )
    assert sent.keys() == {"id"}


# ---------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["get-room", "--identifier", f"arn:aws:ivschat:us-east-1:{ACCOUNT}:room/AbCdEf123456"],
            "(ResourceNotFoundException) when calling the GetRoom operation: Resource: arn:",
        ),
        (
            ["create-room", "--name", "not a name", "--maximum-message-length", "501"],
            "(ValidationException) when calling the CreateRoom operation: Request member: name",
        ),
    ],
    ids=["not-found", "validation"],
)
def test_errors(aws: Aws, arguments: list[str], words: str) -> None:
    """A refused call ends with the code for an answer of the service, and says what was wrong."""
    done = aws(*arguments)
    assert done.returncode in {254, 255}
    assert done.stdout == ""
    assert words in done.stderr


# ------------------------------------------------------------------------- where the endpoint is


def test_endpoint_and_credentials_from_the_environment(service: Service, tmp_path: Path) -> None:
    """The service's own variable and the file in the data directory are all that is needed."""
    done = run(
        [str(AWS), "ivschat", "list-rooms", "--profile", "greenroom", "--region", "eu-test-1"],
        HOME=str(tmp_path),
        AWS_ENDPOINT_URL_IVSCHAT=service.api_url,
        AWS_SHARED_CREDENTIALS_FILE=str(Path(service.ready["data_dir"]) / "credentials"),
    )
    assert output(done) == {"rooms": []}


def test_the_printed_line_works(service: Service, tmp_path: Path) -> None:
    """The line that `serve` prints can be pasted into a shell as it is."""
    room = service.boto3().create_room(name="printed")["arn"]
    (line,) = re.findall(r"^Try it: +(.*)$", banner(service), re.MULTILINE)
    path = f"{AWS.parent}{os.pathsep}{os.environ['PATH']}"
    listed = output(run(["sh", "-c", line], HOME=str(tmp_path), PATH=path))
    assert room in [each["arn"] for each in listed["rooms"]]
