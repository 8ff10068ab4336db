"""The three operations on tags, of rooms and of logging configurations.

Tags of rooms whose keys begin with `greenroom:` are the defaults of their settings.
"""

from collections.abc import Iterable

from greenroom.control.ivschat.context import Call
from greenroom.control.pipeline import Result
from greenroom.model.arn import Arn, ResourceType
from greenroom.model.errors import ValidationException
from greenroom.model.room_settings import is_setting_tag, tag_errors


async def list_tags_for_resource(call: Call) -> Result:
    """ListTagsForResource."""
    return {"tags": await call.services.store.tags.get(call.resource("resourceArn"))}


async def tag_resource(call: Call) -> Result:
    """TagResource: adds or overwrites."""
    arn = call.resource("resourceArn")
    tags = call.strings("tags")
    if arn.type is ResourceType.ROOM and (errors := tag_errors(tags)):
        raise ValidationException.of_fields(*errors)
    await call.services.store.tags.add(arn, tags, call.services.quotas["tags_per_resource"])
    await _tell(call, arn, tags)
    return {}


async def untag_resource(call: Call) -> Result:
    """UntagResource: keys that the resource does not have are no error."""
    arn = call.resource("resourceArn")
    keys = call.required("tagKeys", tuple[str, ...])
    await call.services.store.tags.remove(arn, keys)
    await _tell(call, arn, keys)
    return {}


async def _tell(call: Call, arn: Arn, keys: Iterable[str]) -> None:
    """Tell the room of other defaults."""
    if arn.type is ResourceType.ROOM and any(map(is_setting_tag, keys)):
        await call.services.settings.tell(str(arn))
