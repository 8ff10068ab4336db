"""Where chat logs go, as people are told before the first record."""

from typing import Any

import pytest

from greenroom.chatlog.choice import chosen
from greenroom.settings.load import load

NOTHING = {
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
    "AWS_CONFIG_FILE": "/nowhere/config",
    "AWS_EC2_METADATA_DISABLED": "true",
}
KEYS = {**NOTHING, "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s"}
ALL = {f"{name}_endpoint": "http://localhost:1" for name in ("s3", "logs", "firehose")}


@pytest.mark.parametrize(
    ("settings", "environment", "shown", "by_environment"),
    [
        ({}, NOTHING, "files in greenroom-data/chat-logs", False),
        ({"chat_log_dir": "/logs"}, NOTHING, "files in /logs", False),
        ({"storage": "memory"}, NOTHING, "files that last as long as the process", False),
        (
            {},
            {**NOTHING, "AWS_EC2_METADATA_DISABLED": "false"},
            "files in greenroom-data/chat-logs, or AWS if this machine has a role",
            False,
        ),
        ({}, KEYS, "AWS (the access key AKID of the variable AWS_ACCESS_KEY_ID)", True),
        (
            {"s3_endpoint": "http://localhost:1"},
            KEYS,
            "AWS, but for s3_endpoint (the access key AKID of the variable AWS_ACCESS_KEY_ID)",
            True,
        ),
        (ALL, KEYS, "the endpoints of the settings (s3_endpoint, logs_endpoint, ", False),
        (
            {"chat_log_destinations": "s3:a=files,*=aws"},
            KEYS,
            "s3:a=files, *=aws (chat_log_destinations)",
            False,
        ),
        (
            {"chat_log_destinations": "*=aws"},
            NOTHING,
            "*=aws (chat_log_destinations; no AWS credentials are at hand)",
            False,
        ),
        (
            {"chat_log_destinations": "*=aws"},
            {**NOTHING, "AWS_EC2_METADATA_DISABLED": "false"},
            "*=aws (chat_log_destinations; no AWS credentials are at hand, unless this machine has",
            False,
        ),
        ({"chat_log_destinations": "*=files"}, NOTHING, "*=files (chat_log_destinations)", False),
    ],
)
def test_choices(
    settings: dict[str, Any], environment: dict[str, str], shown: str, by_environment: bool
) -> None:
    """Patterns go before endpoints, these before credentials, and files are what is left."""
    choice = chosen(load(settings, {}, None), environment)
    assert choice.shown.startswith(shown)
    assert choice.by_environment is by_environment


@pytest.mark.parametrize(
    ("given", "shown"),
    [({}, "nowhere: a cluster needs chat_log_dir"), ({"chat_log_dir": "/logs"}, "files in /logs")],
)
def test_files_of_a_cluster(given: dict[str, str], shown: str) -> None:
    """Its nodes share a directory that somebody names, or there is none."""
    settings = {
        "storage": "postgresql://greenroom@localhost/greenroom",
        "bus": "nats://localhost",
        **given,
    }
    assert chosen(load(settings, {}, None), NOTHING).shown == shown


def test_the_services_own_key_is_none_of_aws() -> None:
    """Its users have it where AWS's tools look; nothing goes to AWS for that."""
    choice = chosen(load({}, {}, None), KEYS, "AKID")
    assert choice.where.startswith("files")
    assert not choice.by_environment
