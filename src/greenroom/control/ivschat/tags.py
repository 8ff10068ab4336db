"""The three operations on tags, of rooms and of logging configurations."""

from greenroom.control.ivschat.context import Call
from greenroom.control.pipeline import Result


async def list_tags_for_resource(call: Call) -> Result:
    """ListTagsForResource."""
    return {"tags": await call.services.store.tags.get(call.resource("resourceArn"))}


async def tag_resource(call: Call) -> Result:
    """TagResource: adds or overwrites."""
    arn = call.resource("resourceArn")
    tags = call.strings("tags")
    await call.services.store.tags.add(arn, tags, call.services.quotas["tags_per_resource"])
    return {}


async def untag_resource(call: Call) -> Result:
    """UntagResource: keys that the resource does not have are no error."""
    arn = call.resource("resourceArn")
    await call.services.store.tags.remove(arn, call.required("tagKeys", tuple[str, ...]))
    return {}
