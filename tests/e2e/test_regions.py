"""Which regions the real process serves, as boto3's callers learn it."""

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.running.service import Service, running


def client(service: Service, name: str, region: str) -> Any:
    """Return a client of the root in a region."""
    make: Any = boto3.client
    return make(
        name,
        endpoint_url=service.api_url,
        region_name=region,
        aws_access_key_id=service.ready["access_key_id"],
        aws_secret_access_key=service.ready["secret_access_key"],
    )


def refusal(call: Any, **parameters: Any) -> str:
    """Return what a refused call is told."""
    with pytest.raises(ClientError) as error:
        call(**parameters)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    found = error.value.response["Error"]
    return f"{found['Code']}: {found['Message']}"


def test_another_region_is_refused_by_name(tmp_path: Path) -> None:
    """A typing error is told, not answered with an empty list; no new region has new quotas."""
    with running(tmp_path / "data", GREENROOM_QUOTAS="rooms=2") as service:
        own = client(service, "ivschat", "us-east-1")
        for _ in range(2):
            own.create_room()
        with pytest.raises(ClientError, match="ServiceQuotaExceededException"):
            own.create_room()
        for region in ("us-esat-1", *(f"xx-{number}" for number in range(5))):
            there = client(service, "ivschat", region)
            told = (
                "SignatureDoesNotMatch: Credential should be scoped to a valid region,"
                f" not '{region}': served here: us-east-1."
            )
            assert refusal(there.list_rooms) == told
            assert refusal(there.create_room) == told
        assert len(own.list_rooms()["rooms"]) == 2
        sts = client(service, "sts", "eu-west-1")
        assert "not 'eu-west-1'" in refusal(sts.get_caller_identity)


def test_iam_has_its_own_region(tmp_path: Path) -> None:
    """IAM, and STS for all regions, are signed for us-east-1 wherever the service is."""
    settings = {"GREENROOM_REGION": "eu-west-1", "GREENROOM_REGIONS": "ap-south-1"}
    with running(tmp_path / "data", **settings) as service:
        client(service, "iam", "eu-west-1").list_users()
        for region in ("us-east-1", "eu-west-1", "ap-south-1"):
            client(service, "sts", region).get_caller_identity()
        for region in ("eu-west-1", "ap-south-1"):
            made = client(service, "ivschat", region).create_room()
            assert f":{region}:" in made["arn"]
        told = refusal(client(service, "ivschat", "us-east-1").list_rooms)
        assert told.endswith("served here: ap-south-1, eu-west-1.")


def test_rooms_that_are_no_longer_served_are_told_of(tmp_path: Path) -> None:
    """A service whose regions became fewer says which rooms nobody reaches, and keeps them."""
    with running(tmp_path / "data", GREENROOM_REGIONS="*") as service:
        room = client(service, "ivschat", "eu-west-1").create_room()["arn"]
    with running(tmp_path / "data") as service:
        text = service.log.read_text()
        assert "rooms in regions that are not served" in text
        assert "eu-west-1" in text
    with running(tmp_path / "data", GREENROOM_REGIONS="eu-west-1") as service:
        client(service, "ivschat", "eu-west-1").get_room(identifier=room)
        assert service.log.read_text().count("rooms in regions that are not served") == 1
