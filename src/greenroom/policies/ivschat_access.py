"""What each operation must be allowed: actions and resources, as a table.

Source: Service Authorization Reference, "Amazon Interactive Video Service Chat". The new resource
of a Create operation and the members of a List are not known yet: what is matched is the type with
`*`, so a policy that names single resources does not allow them.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from greenroom.aws import service
from greenroom.model.arn import ResourceType

PREFIX = "ivschat"
TAG_RESOURCE = "ivschat:TagResource"


class Check(msgspec.Struct, frozen=True):
    """One question that an operation puts to the policies; all of its must be allowed."""

    action: str
    resource: str
    """ARN."""
    exists: bool
    """Whether it can have tags already, for `aws:ResourceTag/...`."""


class Access(msgspec.Struct, frozen=True):
    """One operation's needs."""

    types: tuple[ResourceType, ...]
    parameter: str | None = None
    """The parameter with the resource's ARN; None for Create and List."""
    tags: str | None = None
    """The parameter with tags (a map) or tag keys (a list), for `aws:RequestTag/...` and
    `aws:TagKeys`."""
    tags_on_create: bool = False
    """Whether tags in the request also need `ivschat:TagResource`."""


_ROOM = (ResourceType.ROOM,)
_LOGGING = (ResourceType.LOGGING_CONFIGURATION,)
_BOTH = (*_LOGGING, *_ROOM)

ACCESS: Mapping[str, Access] = MappingProxyType(
    {
        "CreateChatToken": Access(_ROOM, "roomIdentifier"),
        "CreateLoggingConfiguration": Access(_LOGGING, tags="tags", tags_on_create=True),
        "CreateRoom": Access(_ROOM, tags="tags", tags_on_create=True),
        "DeleteLoggingConfiguration": Access(_LOGGING, "identifier"),
        "DeleteMessage": Access(_ROOM, "roomIdentifier"),
        "DeleteRoom": Access(_ROOM, "identifier"),
        "DisconnectUser": Access(_ROOM, "roomIdentifier"),
        "GetLoggingConfiguration": Access(_LOGGING, "identifier"),
        "GetRoom": Access(_ROOM, "identifier"),
        "ListLoggingConfigurations": Access(_LOGGING),
        "ListRooms": Access(_ROOM),
        "ListTagsForResource": Access(_BOTH, "resourceArn"),
        "SendEvent": Access(_ROOM, "roomIdentifier"),
        "TagResource": Access(_BOTH, "resourceArn", tags="tags"),
        "UntagResource": Access(_BOTH, "resourceArn", tags="tagKeys"),
        "UpdateLoggingConfiguration": Access(_LOGGING, "identifier"),
        "UpdateRoom": Access(_ROOM, "identifier"),
    }
)
"""The 17 operations by name. The action is `ivschat:` and the name."""

if ACCESS.keys() != service.OPERATIONS.keys():
    raise ImportError(
        "the table of access differs from the service model: "
        + ", ".join(sorted(ACCESS.keys() ^ service.OPERATIONS.keys()))
    )

_ACTIONS = {name: f"{PREFIX}:{name}" for name in ACCESS}


def checks(
    operation: str, parameters: Mapping[str, object], account: str, region: str
) -> tuple[Check, ...]:
    """Return what a request must be allowed, all of it, in the order of asking."""
    access = ACCESS[operation]
    if access.parameter is not None:
        resource = msgspec.convert(parameters[access.parameter], str)
        return (Check(_ACTIONS[operation], resource, exists=True),)
    resource = f"arn:aws:{PREFIX}:{region}:{account}:{access.types[0]}/*"
    check = Check(_ACTIONS[operation], resource, exists=False)
    if access.tags_on_create and parameters.get("tags"):
        return (check, Check(TAG_RESOURCE, resource, exists=False))
    return (check,)


def requested_tags(
    operation: str, parameters: Mapping[str, object]
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return a request's tags, and the tag keys that it names."""
    name = ACCESS[operation].tags
    given = parameters.get(name) if name is not None else None
    if not given:
        return {}, ()
    if isinstance(given, Mapping):
        tags = msgspec.convert(given, dict[str, str])
        return tags, tuple(tags)
    return {}, msgspec.convert(given, tuple[str, ...])
