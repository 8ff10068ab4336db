"""The operations on the tags of users and roles."""

from greenroom.control.iam.call import IamCall
from greenroom.control.iam.inline_policies import holder_of
from greenroom.control.pipeline import Result


async def tag_identity(call: IamCall) -> Result:
    """TagUser, TagRole: add or overwrite."""
    kind, name = call.identity()
    await call.identities.tag_identity(call.account, kind, name, call.tags())
    return {}


async def untag_identity(call: IamCall) -> Result:
    """UntagUser, UntagRole: keys that are not there are no error."""
    kind, name = call.identity()
    await call.identities.untag_identity(call.account, kind, name, tuple(call.texts("TagKeys")))
    return {}


async def list_tags(call: IamCall) -> Result:
    """ListUserTags, ListRoleTags."""
    tags = (await holder_of(call)).tags
    return call.cut("Tags", {key: {"Key": key, "Value": value} for key, value in tags.items()})


async def list_policy_tags(call: IamCall) -> Result:
    """ListPolicyTags."""
    tags = (await call.identities.get_policy(call.account, call.text("PolicyArn"))).tags
    return call.cut("Tags", {key: {"Key": key, "Value": value} for key, value in tags.items()})
