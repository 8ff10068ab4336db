"""What is particular to S3."""

from pathlib import Path

import pytest

from greenroom.aws_access.clients import Service
from greenroom.chatlog.base import DestinationFailed, FailureKind
from greenroom.chatlog.objects import objects
from greenroom.chatlog.s3 import S3Destination
from tests.stand_ins import answering
from tests.stand_ins.batches import a_batch
from tests.stand_ins.kept import S3Stage, access_to


async def test_objects_byte_for_byte(aws_url: str, aws_credentials: None, tmp_path: Path) -> None:
    """The bucket holds exactly the batch's objects, also after it was delivered again."""
    stage = S3Stage(access_to(aws_url), tmp_path)
    target, batch = await stage.target(), a_batch(rooms=12)
    wanted = {each.key: each.body() for each in objects(target.configuration, batch)}
    for _ in range(2):
        destination = stage.make()
        await destination.deliver(target, batch)
        await destination.close()
        assert await stage.objects(target) == wanted
    await stage.access.close()


async def test_a_check_leaves_no_upload(
    aws_url: str, aws_credentials: None, tmp_path: Path
) -> None:
    """The upload that a check begins is given up."""
    stage = S3Stage(access_to(aws_url), tmp_path)
    target = await stage.target()
    await stage.make().check(target)
    uploads = await stage.access.run(
        lambda: stage.access.call_in_this_thread(
            Service.S3, "us-east-1", "list_multipart_uploads", Bucket=target.name
        )
    )
    assert uploads.get("Uploads", []) == []
    await stage.access.close()


async def test_without_credentials(aws_url: str, no_aws_credentials: None, tmp_path: Path) -> None:
    """Without credentials nothing is sent, and access is denied."""
    stage = S3Stage(access_to(aws_url), tmp_path)
    destination = S3Destination(stage.access, 300, 1_000_000)
    with pytest.raises(DestinationFailed, match="NoCredentialsError") as failed:
        await destination.deliver(stage.missing(), a_batch())
    assert failed.value.kind == FailureKind.ACCESS_DENIED
    await stage.access.close()


async def test_something_in_between(aws_credentials: None, tmp_path: Path) -> None:
    """A 200 that is not a store's, as of a proxy's page, is no delivery."""
    with answering.server(lambda *_: (200, b"<html>Welcome</html>")) as url:
        stage = S3Stage(access_to(url), tmp_path)
        destination = stage.make()
        for call in (
            destination.check(stage.missing()),
            destination.deliver(stage.missing(), a_batch()),
        ):
            with pytest.raises(DestinationFailed) as failed:
                await call
            assert failed.value.kind == FailureKind.OTHER
        await stage.access.close()
