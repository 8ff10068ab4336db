"""The three operations on tags, for both kinds of resource."""

import pytest

from tests.stand_ins.caller import Caller


@pytest.mark.parametrize("kind", ["room", "configuration"])
async def test_tags(kind: str) -> None:
    """Tags are added, overwritten, listed and removed, and seen where the resource is shown."""
    api = Caller()
    arn = await (api.created() if kind == "room" else api.configuration())
    created = await api.call("ListTagsForResource", resourceArn=arn)
    assert created.body == {"tags": {}}
    for tags in ({"a": "1", "b/ü =+": ""}, {"a": "2"}):
        answer = await api.call("TagResource", resourceArn=arn, tags=tags)
        assert (answer.status, answer.body) == (200, {})
    listed = await api.call("ListTagsForResource", resourceArn=arn)
    assert listed.body == {"tags": {"a": "2", "b/ü =+": ""}}
    get = "GetRoom" if kind == "room" else "GetLoggingConfiguration"
    assert (await api.call(get, identifier=arn)).body["tags"] == listed.body["tags"]
    answer = await api.call("UntagResource", resourceArn=arn, tagKeys=["b/ü =+", "missing"])
    assert (answer.status, answer.body) == (200, {})
    assert (await api.call("ListTagsForResource", resourceArn=arn)).body == {"tags": {"a": "2"}}


async def test_refusals_name_the_tag() -> None:
    """A refused tag is named by its key; none of the others is kept."""
    api = Caller()
    arn = await api.created()
    bad = await api.call("TagResource", resourceArn=arn, tags={"ok": "1", "aws:x": "1", "k": "*"})
    assert bad.fields() == ["tags.aws:x", "tags.k"]
    assert (await api.call("ListTagsForResource", resourceArn=arn)).body == {"tags": {}}
    assert (await api.call("TagResource", resourceArn=arn)).fields() == ["tags"]
    assert (await api.call("UntagResource", resourceArn=arn)).fields() == ["tagKeys"]
    assert (await api.call("ListTagsForResource", resourceArn="x")).fields() == ["resourceArn"]


async def test_quota() -> None:
    """A resource has so many tags at most, new ones and old ones together."""
    api = Caller(tags_per_resource=3)
    arn = await api.created(tags={"1": "", "2": ""})
    assert (await api.call("TagResource", resourceArn=arn, tags={"2": "x", "3": ""})).status == 200
    assert (await api.call("TagResource", resourceArn=arn, tags={"4": ""})).fields() == ["tags"]
    for operation in ("CreateRoom", "CreateLoggingConfiguration"):
        answer = await api.call(
            operation,
            tags={str(number): "" for number in range(4)},
            destinationConfiguration={"s3": {"bucketName": "bucket"}},
        )
        assert answer.fields() == ["tags"]
