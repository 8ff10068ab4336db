"""Policies for tests: compiled from short forms, and drawn by hypothesis."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from greenroom.policies.decision import CompiledPolicies, CompiledPolicy
from greenroom.policies.document import parse_identity_policy

ACCOUNT = "123456789012"
ROOM = f"arn:aws:ivschat:us-east-1:{ACCOUNT}:room/AbCdEf123456"
OTHER_ROOM = f"arn:aws:ivschat:us-east-1:{ACCOUNT}:room/ZyXwVu654321"

KEYS = ("aws:username", "aws:SourceIp", "aws:RequestTag/Team", "aws:TagKeys")


def policy(*statements: Mapping[str, Any], name: str = "p") -> CompiledPolicy:
    """Return a compiled policy of these statements."""
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return CompiledPolicy(name, parse_identity_policy(document))


def policies(*statements: Mapping[str, Any]) -> CompiledPolicies:
    """Return the permissions that one policy of these statements gives."""
    return CompiledPolicies([policy(*statements)])


def _some(values: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=3)


_ACTIONS = st.sampled_from(
    ["*", "ivschat:*", "ivschat:GetRoom", "ivschat:Get*", "ivschat:?etRoom", "IVSCHAT:getroom"]
)
_RESOURCES = st.sampled_from(
    [
        "*",
        ROOM,
        OTHER_ROOM,
        f"{ROOM[:-4]}*",
        "arn:aws:ivschat:*:room/A*",
        f"{ROOM}${{aws:username}}",
    ]
)
_TEXTS = st.sampled_from(["alice", "a*", "?", "", "${aws:username}", "Team", "red", "${*}"])


@st.composite
def _conditions(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    names = ["StringEquals", "StringNotEquals", "StringLike", "StringNotLikeIfExists"]
    names += ["ForAllValues:StringLike", "ForAnyValue:StringNotEquals"]
    kinds = st.dictionaries(
        st.sampled_from(names),
        st.dictionaries(st.sampled_from(KEYS), _some(_TEXTS), min_size=1, max_size=2),
        max_size=2,
    )
    found = draw(kinds)
    if draw(st.booleans()):
        found["Null"] = {draw(st.sampled_from(KEYS)): draw(st.sampled_from(["true", "false"]))}
    if draw(st.booleans()):
        found["IpAddress"] = {"aws:SourceIp": draw(_some(st.sampled_from(["10.0.0.0/8", "::/0"])))}
    return found


@st.composite
def statements(draw: st.DrawFn, effect: str | None = None) -> dict[str, Any]:
    """Draw one statement of an identity policy."""
    found: dict[str, Any] = {"Effect": effect or draw(st.sampled_from(["Allow", "Deny"]))}
    found[draw(st.sampled_from(["Action", "Action", "NotAction"]))] = draw(_some(_ACTIONS))
    found[draw(st.sampled_from(["Resource", "Resource", "NotResource"]))] = draw(_some(_RESOURCES))
    if draw(st.booleans()):
        found["Condition"] = draw(_conditions())
    return found


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an identity policy."""
    found = draw(st.lists(statements(), min_size=1, max_size=4))
    for i, statement in enumerate(found):
        if draw(st.booleans()):
            statement["Sid"] = f"S{i}"
    return {"Version": "2012-10-17", "Statement": found}
