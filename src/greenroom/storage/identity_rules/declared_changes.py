"""What is said of a change that the identities file made: a line, and what differs, no secret."""

from typing import TypeVar

from greenroom.model.identity import AccessKey, ManagedPolicy, Role, User
from greenroom.storage.identity_values import Change

Declarable = User | Role | ManagedPolicy | AccessKey
Value = TypeVar("Value", User | Role, ManagedPolicy, AccessKey)

_MEMBERS = {
    "name": "name",
    "path": "path",
    "tags": "tags",
    "description": "description",
    "document": "document",
    "trust_policy": "trust",
    "max_session_seconds": "max_session_seconds",
    "inline_policies": "policies",
    "revoked_before": "revoke_sessions_before",
    "status": "status",
    "sealed_secret": "secret",
}
"""Names in the file of what can differ."""


def created(what: str, value: Declarable) -> Change:
    """Return a change with all that the value has."""
    return Change(f"create {what}", _arn(value), after=_told(value))


def deleted(what: str, value: Declarable) -> Change:
    """Return a change with all that the value had."""
    return Change(f"delete {what}", _arn(value), before=_told(value))


def updated(what: str, before: Value, after: Value) -> Change:
    """Return a change with the members, and of tables the keys, that differ."""
    old, new = _told(before), _told(after)
    for name in old.keys() & new.keys():
        was, becomes = old[name], new[name]
        if isinstance(was, dict) and isinstance(becomes, dict):
            same = {key for key in was.keys() & becomes.keys() if was[key] == becomes[key]}
            old[name] = {key: each for key, each in was.items() if key not in same}
            new[name] = {key: each for key, each in becomes.items() if key not in same}
        if old[name] == new[name]:
            del old[name], new[name]
    return Change(f"update {what}: {_differences(before, after)}", _arn(after), old, new)


def _told(value: Declarable) -> dict[str, object]:
    """Return what the audit log may say of a value: everything but its name and its secret."""
    members = {each: name for each, name in _MEMBERS.items() if each not in _UNTOLD}
    found: dict[str, object] = {name: getattr(value, each, None) for each, name in members.items()}
    return {name: told for name, told in found.items() if told}


_UNTOLD = ("name", "sealed_secret")


def _arn(value: Declarable) -> str:
    return "" if isinstance(value, AccessKey) else value.arn


def _differences(before: Value, after: Value) -> str:
    """Say which members differ, and which keys of tables; no document, secret or value of a tag."""
    found = []
    for member, name in _MEMBERS.items():
        old, new = getattr(before, member, None), getattr(after, member, None)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
            found.append(f"{name} {' '.join(keys)}")
        else:
            found.append(name)
    return ", ".join(found)
