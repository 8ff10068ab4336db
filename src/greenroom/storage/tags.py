"""The port to the tags of rooms and logging configurations; guarantees: see `storage.base`."""

from typing import Protocol

from greenroom.model.arn import Arn


class Tags(Protocol):
    """Tags by the ARN of what has them."""

    async def get(self, arn: Arn) -> dict[str, str]:
        """Return the resource's tags.

        Raises:
            ResourceNotFoundException: there is no such resource.
        """

    async def add(self, arn: Arn, tags: dict[str, str], quota: int) -> None:
        """Add or overwrite tags. Update times do not change.

        Raises:
            ResourceNotFoundException: there is no such resource.
            ValidationException: it would have more than `quota` tags.
        """

    async def remove(self, arn: Arn, keys: tuple[str, ...]) -> None:
        """Remove tags; keys that are not there are no error.

        Raises:
            ResourceNotFoundException: there is no such resource.
        """
