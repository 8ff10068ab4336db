"""Amazon Resource Names of rooms and logging configurations."""

import re
from enum import StrEnum
from functools import lru_cache

import msgspec

from greenroom.model.errors import ResourceNotFoundException

_ARN = re.compile(
    r"arn:aws:ivschat:(?P<region>[a-z0-9-]+):(?P<account>[0-9]+)"
    r":(?P<type>room|logging-configuration)/(?P<id>[a-zA-Z0-9-]+)"
)


KNOWN_CHARACTERS = 128
"""ARNs up to this length are kept once they are parsed: the API takes no longer ones."""


class ResourceType(StrEnum):
    """The two resources of the service, as they appear in an ARN."""

    ROOM = "room"
    LOGGING_CONFIGURATION = "logging-configuration"

    @property
    def wire_name(self) -> str:
        """Return the name used in the `resourceType` member of errors."""
        return self.name


class Arn(msgspec.Struct, frozen=True, order=True):
    """One resource's name: `arn:aws:ivschat:REGION:ACCOUNT:TYPE/ID`."""

    region: str
    account: str
    type: ResourceType
    id: str

    def __str__(self) -> str:
        return f"arn:aws:ivschat:{self.region}:{self.account}:{self.type}/{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Arn":
        """Parse an ARN of this service.

        Raises:
            ValueError: the text is not the ARN of a room or a logging configuration.
        """
        return _known(text) if len(text) <= KNOWN_CHARACTERS else _parsed(text)

    def not_found(self) -> ResourceNotFoundException:
        """Return the error for this resource's absence."""
        return ResourceNotFoundException(
            f"Resource: {self} not found", resource_id=self.id, resource_type=self.type.wire_name
        )


def _parsed(text: str) -> Arn:
    match = _ARN.fullmatch(text)
    if match is None:
        raise ValueError("not the ARN of a room or a logging configuration")
    return Arn(match["region"], match["account"], ResourceType(match["type"]), match["id"])


_known = lru_cache(maxsize=4096)(_parsed)
"""Most of what is asked is about few rooms."""
