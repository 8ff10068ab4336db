"""The context of a request: the values that conditions and policy variables can look at.

Keys and when they are there: IAM User Guide, "AWS global condition context keys". Keys are in
lower case: "Condition key names are not case-sensitive". Two tags whose keys differ in case only
become one key with both values.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType

import msgspec

from greenroom.model.letter_case import without_case
from greenroom.model.principal import NO_TAGS, ContextValue, Principal

GLOBAL_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "aws:CurrentTime": "time of the request, ISO 8601",
        "aws:EpochTime": "the same in seconds since 1970",
        "aws:PrincipalAccount": "the caller's account",
        "aws:PrincipalArn": "ARN of the caller's user, role (not its session) or root",
        "aws:PrincipalTag/KEY": "tag of the caller's user, or role and session",
        "aws:PrincipalType": "`Account`, `User` or `AssumedRole`",
        "aws:RequestedRegion": "region that the request was signed for",
        "aws:RequestTag/KEY": "tag in the request: Create operations with tags, TagResource",
        "aws:ResourceAccount": "account in the resource's ARN",
        "aws:ResourceTag/KEY": "tag of the resource, where it exists already",
        "aws:SecureTransport": "`true` over TLS, also to a proxy (`forwarded_proto`), else `false`",
        "aws:SourceIp": "the caller's address",
        "aws:TagKeys": "keys of the tags in the request, several",
        "aws:TokenIssueTime": "when temporary credentials were issued; with these only",
        "aws:UserAgent": "the User-Agent header, when there is one: its first 1,024 bytes",
        "aws:userid": "unique id of the caller, `ROLE_ID:SESSION` for an assumed role",
        "aws:username": "name of the user; of users only",
    }
)
"""The keys that requests have here, and what they hold."""

OWN_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "greenroom:AlsoAddresses": "`true` where something is to hold of a user's addresses, too",
        "greenroom:Announcement": "the style of an announcement: a message without has none",
        "greenroom:DurationSeconds": "for how many seconds something is to hold: without a time"
        " there is no such key",
        "greenroom:SkipChecks": "`true` where a message is to meet no modes; of SendMessage",
        "greenroom:Scope": "`ROOM`, or `ACCOUNT` where something is to hold in all rooms",
        "greenroom:UserId": "the user whom it is about, or in whose name a message is sent",
    }
)
"""The keys that requests to Greenroom's own API have beside them."""


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a request tells about itself."""

    region: str
    now: datetime
    """With a time zone."""
    source_ip: str | None = None
    secure: bool = False
    user_agent: str | None = None


def request_context(
    principal: Principal,
    facts: RequestFacts,
    *,
    request_tags: Mapping[str, str] = NO_TAGS,
    tag_keys: Iterable[str] = (),
    resource_tags: Mapping[str, str] = NO_TAGS,
) -> dict[str, ContextValue]:
    """Return the context of a request without `aws:ResourceAccount`, by key in lower case."""
    second = int(facts.now.timestamp())
    context: dict[str, ContextValue] = {
        "aws:currenttime": _iso_of(second),
        "aws:epochtime": str(second),
        "aws:principalaccount": principal.account,
        "aws:principalarn": principal.principal_arn,
        "aws:principaltype": principal.type.value,
        "aws:requestedregion": facts.region,
        "aws:securetransport": "true" if facts.secure else "false",
        "aws:userid": principal.user_id,
    }
    if facts.source_ip is not None:
        context["aws:sourceip"] = facts.source_ip
    if facts.user_agent is not None:
        context["aws:useragent"] = facts.user_agent
    if principal.user_name is not None:
        context["aws:username"] = principal.user_name
    if principal.token_issued is not None:
        context["aws:tokenissuetime"] = _iso(principal.token_issued.astimezone(UTC))
    if keys := tuple(tag_keys):
        context["aws:tagkeys"] = keys
    _add_tags(context, "aws:principaltag/", principal.tags)
    _add_tags(context, "aws:requesttag/", request_tags)
    _add_tags(context, "aws:resourcetag/", resource_tags)
    return context


def with_resource(
    context: Mapping[str, ContextValue], resource: str, tags: Mapping[str, str] = NO_TAGS
) -> Mapping[str, ContextValue]:
    """Return the context with what is known of the resource: its account and its tags."""
    found = dict(context)
    parts = resource.split(":", 5)
    if len(parts) == 6 and parts[4]:
        found["aws:resourceaccount"] = parts[4]
    _add_tags(found, "aws:resourcetag/", tags)
    return found


def _add_tags(context: dict[str, ContextValue], prefix: str, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        name = prefix + without_case(key)
        before = context.get(name)
        if before is None:
            context[name] = value
        else:
            context[name] = (*((before,) if isinstance(before, str) else before), value)


@lru_cache(maxsize=16)
def _iso_of(second: int) -> str:
    """Return a second since the epoch as text, which many requests ask for."""
    return _iso(datetime.fromtimestamp(second, UTC))


def _iso(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
