"""Which parameters of a request the audit log tells: who redirected what, and who widened what.

- Of the ivschat API: where chat logs and reviews go, limits, whom a token is for. Never tokens,
  attributes (but those that give rights, `greenroom:…`), reasons, contents, nor values of tags.
- Of IAM and STS: policies whole, tags with their values, because policies trust them, and what
  temporary credentials may. Never secrets.
"""

import json
from collections.abc import Callable, Mapping

from greenroom.model.token_attributes import PREFIX

IDENTIFIERS = frozenset(
    {
        *("roomIdentifier", "identifier", "resourceArn", "loggingConfigurationIdentifier"),
        *("PolicyArn", "RoleArn", "PolicySourceArn"),
    }
)
"""Parameters that name a resource."""

_LOGGING = ("name", "destinationConfiguration", "tags")
_ROOM = (
    *("name", "loggingConfigurationIdentifiers", "maximumMessageLength"),
    *("maximumMessageRatePerSecond", "messageReviewHandler", "tags"),
)

_RESTRICTING = (
    *("AddUserNote", "BanUser", "HoldUser", "LiftRestriction", "MonitorUser", "MuteUser"),
    "ShadowBanUser",
)

DETAILS: Mapping[str, tuple[str, ...]] = {
    "CreateChatToken": ("userId", "capabilities", "attributes", "sessionDurationInMinutes"),
    "CreateLoggingConfiguration": _LOGGING,
    "CreateRoom": _ROOM,
    "DeleteAnnouncementSchedule": ("name",),
    "DeleteMessage": ("id",),
    "DeleteUserMessages": ("userId", "sinceSeconds"),
    "DisconnectUser": ("userId",),
    **dict.fromkeys(
        _RESTRICTING,
        (
            *("userId", "scope", "kind", "durationSeconds", "deleteMessagesSinceSeconds"),
            "alsoAddresses",
        ),
    ),
    "EndSessions": ("UserName", "RoleName"),
    "KillTokenKey": ("keyId",),
    "ListMessages": (*("userId", "since", "before", "from", "to", "replyRoot", "includeDeleted"),),
    "PinMessage": ("messageId", "durationSeconds"),
    "PutAnnouncementSchedule": ("name", "style", "everySeconds"),
    "SendEvent": ("eventName",),
    "SendMessage": ("userId", "skipChecks", "announcement"),
    "TagResource": ("tags",),
    "UntagResource": ("tagKeys",),
    "UnpinMessage": ("messageId",),
    "UpdateLoggingConfiguration": _LOGGING,
    "UpdateRoom": _ROOM,
    "UpdateRoomSettings": ("settings", "reset", "expiresInSeconds", "discardWaiting"),
    "UpdateUser": ("userId", "roles"),
}
"""Parameters worth knowing, by operation."""

IAM_DETAILS = (
    *("UserName", "RoleName", "PolicyName", "Path", "VersionId", "SetAsDefault", "AccessKeyId"),
    *("Status", "MaxSessionDuration", "DurationSeconds", "RoleSessionName", "Tags", "TagKeys"),
    *("TransitiveTagKeys", "PolicyArns", "PolicyDocument", "AssumeRolePolicyDocument", "Policy"),
)
"""Parameters worth knowing of every operation of IAM and STS."""


def resources(parameters: Mapping[str, object], result: Mapping[str, object]) -> tuple[str, ...]:
    """Return the ARNs that a request named, and that of what it made."""
    found = [
        value
        for name, value in parameters.items()
        if name in IDENTIFIERS and isinstance(value, str)
    ]
    made = result.get("arn")
    if not made and not _MADE_BY_IAM.isdisjoint(result):
        made = _made_by_iam(result)
    if isinstance(made, str) and made not in found:
        found.append(made)
    return tuple(found)


def details(
    operation: str,
    parameters: Mapping[str, object],
    result: Mapping[str, object] = {},
    *,
    done: bool,
) -> dict[str, object]:
    """Return what else is worth knowing of a request; `done` says that it was not refused."""
    names, known = DETAILS.get(operation), parameters
    if names is None:
        names, known = IAM_DETAILS, {**parameters, **_issued_by_iam(result)}
    found: dict[str, object] = {}
    for name in names:
        value = known.get(name)
        if value is not None:
            shown = _SHOWN.get(name)
            told = value if shown is None else shown(value, done)
            if told is not None:
                found[name] = told
    return found


_MADE_BY_IAM = frozenset({"User", "Role", "Policy", "AssumedRoleUser"})


def _made_by_iam(result: Mapping[str, object]) -> object:
    """Return the ARN of what IAM or STS made."""
    for kind in _MADE_BY_IAM:
        value = result.get(kind)
        if isinstance(value, dict) and "Arn" in value:
            return value["Arn"]
    return None


def _issued_by_iam(result: Mapping[str, object]) -> dict[str, object]:
    """Return what IAM or STS made, by the parameters that would name it; never its secret."""
    found: dict[str, object] = {}
    for kind, member in (
        ("AccessKey", "AccessKeyId"),
        ("Credentials", "AccessKeyId"),
        ("PolicyVersion", "VersionId"),
    ):
        made = result.get(kind)
        if isinstance(made, dict) and member in made:
            found[member] = made[member]
    return found


def _own(attributes: object, _done: bool) -> object:
    """Return those attributes of a chat token that are for the service: what it may do."""
    if not isinstance(attributes, dict):
        return None
    return {key: each for key, each in attributes.items() if key.startswith(PREFIX)} or None


def _keys(tags: object, _done: bool) -> object:
    return sorted(tags) if isinstance(tags, dict) else tags


def _pairs(tags: object, _done: bool) -> object:
    """Return tags as a map; IAM has them as a list."""
    if not isinstance(tags, list):
        return tags
    return {str(tag.get("Key")): tag.get("Value") for tag in tags if isinstance(tag, dict)}


def _arns(policies: object, _done: bool) -> object:
    if not isinstance(policies, list):
        return policies
    return [each.get("arn") for each in policies if isinstance(each, dict)]


def _document(text: object, done: bool) -> object:
    """Return a policy without white space, which its quota does not count."""
    if not done or not isinstance(text, str):
        return text
    return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))


_SHOWN: Mapping[str, Callable[[object, bool], object]] = {
    "attributes": _own,
    "tags": _keys,
    "Tags": _pairs,
    "PolicyArns": _arns,
    "PolicyDocument": _document,
    "AssumeRolePolicyDocument": _document,
    "Policy": _document,
}
"""How parameters are told that are not told as they are."""
