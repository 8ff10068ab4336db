"""Which destination takes the records of a target."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from structlog.testing import capture_logs

from greenroom.aws_access.clients import AwsAccess, Service
from greenroom.chatlog import files
from greenroom.chatlog.base import DestinationFailed, FailureKind, Target
from greenroom.chatlog.destinations import (
    ChosenDestination,
    Destinations,
    LogDirectory,
    endpoints,
    open_destinations,
)
from greenroom.model.logging_configuration import DestinationKind
from greenroom.process.files import replace
from greenroom.settings.load import load
from greenroom.settings.values import SettingsRefused
from tests.stand_ins import answering
from tests.stand_ins.batches import a_batch, a_target

Opening = Callable[..., Destinations]

S3 = DestinationKind.S3


@pytest.fixture
async def opening(tmp_path: Path) -> AsyncIterator[Opening]:
    """Give a function that opens destinations with these settings."""
    opened: list[tuple[Destinations, AwsAccess]] = []

    def made(**flags: object) -> Destinations:
        settings = load({"data_dir": tmp_path / "data", **flags}, {}, None)
        access = AwsAccess(endpoints(settings), read_seconds=5, attempts=1)
        opened.append((open_destinations(settings, access), access))
        return opened[-1][0]

    yield made
    for destinations, access in opened:
        await destinations.close()
        await access.close()


async def where(destinations: Destinations, target: Target) -> str:
    """Return whether the target's records go to AWS, which is down here, or to files."""
    why = ""
    try:
        await destinations.destination_for(target).check(target)
    except DestinationFailed as failed:
        why = failed.why
    return {"": "files", "EndpointConnectionError": "aws", "NoCredentialsError": "aws"}[why]


def entries(directory: Path) -> list[Path]:
    """Return what lies in a directory."""
    return list(directory.iterdir())


@pytest.mark.parametrize("kind", DestinationKind)
async def test_a_developer_sees_files(
    kind: DestinationKind, opening: Opening, no_aws_credentials: None, tmp_path: Path
) -> None:
    """Without endpoint and credentials every kind goes to files in the data directory."""
    target = a_target(kind, "somewhere")
    destination = opening().destination_for(target)
    with capture_logs() as logs:
        await destination.check(target)
        assert await destination.deliver(target, a_batch()) == 0
    directory = tmp_path / "data" / "chat-logs" / "somewhere" / "AWSLogs"
    assert len(list(directory.rglob("*.log.gz"))) == 3
    assert [line["where"] for line in logs] == ["files"]


async def test_intervals(opening: Opening, no_aws_credentials: None) -> None:
    """Objects are made of longer intervals than calls, wherever they go."""
    destinations = opening(chat_log_object_seconds=60, chat_log_object_bytes=70_000)
    each = [destinations.destination_for(a_target(kind, "name")) for kind in DestinationKind]
    assert [destination.interval_seconds for destination in each] == [60, 5, 5]
    assert each[0].batch_bytes == 70_000


async def test_an_endpoint(opening: Opening, no_aws_credentials: None) -> None:
    """A kind whose service has an endpoint goes there, the others stay where they are."""
    destinations = opening(s3_endpoint=answering.closed_url())
    assert [await where(destinations, a_target(kind, "name")) for kind in DestinationKind] == [
        "aws",
        "files",
        "files",
    ]


async def test_credentials(
    opening: Opening, aws_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With credentials every kind goes to AWS; where it goes lasts as long as the process."""
    url = answering.closed_url()
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    destinations, target = opening(), a_target(S3, "name")
    assert await where(destinations, target) == "aws"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert await where(destinations, target) == "aws"


@pytest.mark.parametrize(
    ("endpoint", "credentials", "remote", "warned"),
    [
        (False, None, False, False),
        (True, None, True, False),
        (False, object(), True, True),
        (True, object(), True, False),
    ],
)
async def test_credentials_that_were_meant_for_something_else(
    endpoint: bool, credentials: object, remote: bool, warned: bool
) -> None:
    """That records go to AWS only because it was possible is told, once, and how to say so."""
    access: Any = mock.Mock(has_endpoint=lambda _: endpoint)
    access.credentials = mock.AsyncMock(return_value=credentials)
    aws: Any = mock.Mock()
    kept: Any = mock.Mock()
    chosen = ChosenDestination(S3, aws, kept, access, {})
    with capture_logs() as logs:
        for _ in range(2):
            assert await chosen._decided() is (aws if remote else kept)
    assert [line["log_level"] for line in logs] == (["warning"] if warned else [])


async def test_both_are_closed() -> None:
    """What a kind of destination has open is closed, wherever its records went."""
    aws, kept, access = mock.AsyncMock(), mock.AsyncMock(), mock.Mock()
    await ChosenDestination(S3, aws, kept, access, {}).close()
    aws.close.assert_awaited_once_with()
    kept.close.assert_awaited_once_with()


async def test_each_kind_is_closed_and_then_the_directory() -> None:
    """What their threads still write is written before it."""
    order = mock.Mock()
    order.configure_mock(s3=mock.AsyncMock(), firehose=mock.AsyncMock())
    kinds = {S3: order.s3, DestinationKind.FIREHOSE: order.firehose}
    await Destinations(kinds, order.place).close()
    assert order.mock_calls == [
        mock.call.s3.close(),
        mock.call.firehose.close(),
        mock.call.place.close(),
    ]


async def test_patterns(opening: Opening, aws_credentials: None) -> None:
    """The first pattern that matches counts; * and ? are wild, all else stands for itself."""
    url = answering.closed_url()
    patterns = (
        "s3:keep-*=files,s3:[xyz]*=files,s3:*=aws,cloudWatchLogs:/local/*=files,*:auto=auto,*=files"
    )
    destinations = opening(
        chat_log_destinations=patterns, s3_endpoint=url, logs_endpoint=url, firehose_endpoint=url
    )
    logs, firehose = DestinationKind.CLOUD_WATCH_LOGS, DestinationKind.FIREHOSE
    wanted = {
        (S3, "keep-this"): "files",
        (S3, "this-keep"): "aws",
        (S3, "xyz"): "aws",
        (S3, "auto"): "aws",
        (logs, "/local/chat"): "files",
        (logs, "auto"): "aws",
        (logs, "other"): "files",
        (firehose, "auto"): "aws",
        (firehose, "AUTO"): "files",
    }
    assert {key: await where(destinations, a_target(*key)) for key in wanted} == wanted


async def test_broken_credentials(
    opening: Opening, no_aws_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile that does not exist fails, instead of sending the records to files."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    target = a_target(S3, "name")
    with pytest.raises(DestinationFailed, match="ProfileNotFound") as failed:
        await opening().destination_for(target).check(target)
    assert failed.value.kind == FailureKind.OTHER


async def test_the_directory(opening: Opening, no_aws_credentials: None, tmp_path: Path) -> None:
    """The directory of files can be chosen, with every storage."""
    for storage in ("sqlite", "memory"):
        directory, target = tmp_path / storage, a_target(S3, "bucket")
        destinations = opening(storage=storage, chat_log_dir=directory)
        await destinations.destination_for(target).deliver(target, a_batch())
        await destinations.close()
        assert [path.name for path in directory.iterdir()] == ["bucket"]


CLUSTER = {"storage": "postgresql://greenroom@db/greenroom", "bus": "nats://nats"}
ENDPOINTS = dict.fromkeys(("s3_endpoint", "logs_endpoint", "firehose_endpoint"), "http://s")


@pytest.mark.parametrize(
    ("flags", "refused"),
    [
        ({}, True),
        ({"chat_log_destinations": {"*": "files"}}, True),
        ({"chat_log_destinations": {"s3:mine": "files", "*": "aws"}}, True),
        ({"chat_log_destinations": {"s3:mine": "aws"}}, True),
        ({"chat_log_destinations": {"s3:mine": "auto", "*": "aws"}}, True),
        ({"chat_log_destinations": {"*": "aws"}}, False),
        (ENDPOINTS, False),
        ({"chat_log_dir": "logs"}, False),
    ],
)
async def test_files_of_a_cluster(
    flags: dict[str, object],
    refused: bool,
    opening: Opening,
    no_aws_credentials: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where a record may go to files, the nodes of a cluster need a directory in common."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    if not refused:
        opening(**CLUSTER, **flags)
        return
    with pytest.raises(SettingsRefused, match="give chat_log_dir, or send all to AWS with"):
        opening(**CLUSTER, **flags)


async def test_writers_of_a_cluster(
    opening: Opening, no_aws_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes write the same file under temporary names of their own; a node alone has one."""
    temporary: list[Path] = []

    def write(path: Path, content: bytes, beside: Path) -> None:
        temporary.append(beside)
        replace(path, content, beside)

    monkeypatch.setattr(files, "replace", write)
    target, batch = a_target(S3, "bucket"), a_batch(rooms=1)
    (tmp_path / "logs").mkdir()
    for _ in range(2):
        destinations = opening(**CLUSTER, chat_log_dir=tmp_path / "logs")
        await destinations.destination_for(target).deliver(target, batch)
    assert len(set(temporary)) == 2
    for _ in range(2):
        destinations = opening(chat_log_dir=tmp_path / "logs")
        await destinations.destination_for(target).deliver(target, batch)
    assert len(set(temporary)) == 3


async def test_nothing_is_left_of_memory(
    opening: Opening, no_aws_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With memory storage files are in a private directory, which the log names, until the end."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    destinations = opening(storage="memory")
    assert entries(tmp_path) == []
    with capture_logs() as logs:
        for kind in DestinationKind:
            target = a_target(kind, "name")
            await destinations.destination_for(target).deliver(target, a_batch())
    (directory,) = entries(tmp_path)
    assert [line["directory"] for line in logs if "directory" in line] == [str(directory)]
    assert directory.stat().st_mode & 0o777 == 0o700
    assert len(list(directory.rglob("*.log.gz"))) == 9
    await destinations.close()
    assert entries(tmp_path) == []
    private = LogDirectory(None)
    gone = private()
    gone.rmdir()
    private.close()
    private.close()
    another = private()
    assert another.is_dir()
    assert another != gone
    private.close()
    assert not another.exists()


def test_endpoints() -> None:
    """Each service's endpoint has its setting."""
    urls = {service: f"http://localhost:{port}" for port, service in enumerate(Service)}
    flags = {service.setting: url for service, url in urls.items()}
    assert endpoints(load(flags, {}, None)) == urls
    assert endpoints(load({}, {}, None)) == {}


def test_what_is_no_directory(opening: Opening, tmp_path: Path) -> None:
    """It is named: the one that was given, or what it lies below."""
    (file := tmp_path / "file").touch()
    with pytest.raises(SettingsRefused, match=rf"chat_log_dir {file} is not a directory$"):
        opening(chat_log_dir=file)
    below = rf"chat_log_dir {file}/logs lies below {file}, which is not a directory$"
    with pytest.raises(SettingsRefused, match=below):
        opening(chat_log_dir=file / "logs")
