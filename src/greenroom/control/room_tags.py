"""The tags of what a request is about, for policies that look at them."""

from collections.abc import Awaitable, Callable, Mapping

from greenroom.model.arn import Arn
from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.principal import NO_TAGS
from greenroom.storage.tags import Tags

ResourceTags = Callable[[str], Awaitable[Mapping[str, str] | None]]
"""Returns the tags of the resource with an ARN; None when it does not exist."""


def tags_in_store(tags: Tags, account: str, region: str) -> ResourceTags:
    """Return how to find tags: of the account's resources in the region, of no others."""

    async def resource_tags(text: str) -> Mapping[str, str] | None:
        try:
            arn = Arn.parse(text)
        except ValueError:
            return NO_TAGS
        if (arn.account, arn.region) != (account, region):
            return NO_TAGS
        try:
            return await tags.get(arn)
        except ResourceNotFoundException:
            return None

    return resource_tags
