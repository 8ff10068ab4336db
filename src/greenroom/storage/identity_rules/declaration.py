"""Make what the identities file owns what it declares: one transaction over the shelves.

What is there already keeps its id, its times, the sessions revoked, the last uses, older versions
of policies (the oldest go at the quota), and keys that were made otherwise. Of a user or role that
the file owns, it owns all policies and attachments.
"""

from typing import TypeVar

from msgspec.structs import replace

from greenroom.model.identity import (
    POLICY_VERSIONS,
    AccessKey,
    IdentityKind,
    ManagedPolicy,
    PolicyVersion,
    Role,
    User,
)
from greenroom.model.identity_errors import EntityAlreadyExists, InvalidInput
from greenroom.model.principal_arn import PrincipalArn
from greenroom.policies.text import MalformedPolicyDocument
from greenroom.storage.identities import Change, Declared
from greenroom.storage.identity_rules import rules
from greenroom.storage.identity_rules.shelves import EVERYWHERE, Shelves, folded
from greenroom.storage.identity_rules.trusted_principals import bound

Declarable = User | Role | ManagedPolicy | AccessKey
Value = TypeVar("Value", User | Role, ManagedPolicy, AccessKey)


def apply(shelves: Shelves, account: str, declared: Declared) -> tuple[Change, ...]:
    """Apply the declaration; return what was changed.

    What is no longer declared goes first, so that its names, paths and key ids are free.
    """
    changes: list[Change] = []
    _drop_keys(shelves, account, {key.access_key_id: key for key in declared.keys}, changes)
    wanted = {(kind_of(each), folded(each.name)): each for each in _identities(declared)}
    kept_ones: list[User | Role] = [
        *shelves.users.values(account),
        *shelves.roles.values(account),
    ]
    for kept in kept_ones:
        if kept.managed:
            _drop_or_detach(shelves, kept, wanted.get((kind_of(kept), folded(kept.name))), changes)
    arns = {policy.arn for policy in declared.policies}
    for policy in shelves.policies.values(account):
        if policy.managed and policy.arn not in arns:
            _delete_policy(shelves, policy)
            changes.append(_deleted(f"policy {policy.name}", policy))
    for policy in declared.policies:
        _policy(shelves, policy, changes)
    for identity in _identities(declared):
        _identity(shelves, identity, changes)
    for role in declared.roles:
        _bind(shelves, role, declared, changes)
    for key in declared.keys:
        _key(shelves, key, changes)
    _account(shelves, account, declared, changes)
    return tuple(changes)


def kind_of(value: User | Role) -> IdentityKind:
    """Return which of the two it is."""
    return IdentityKind.USER if isinstance(value, User) else IdentityKind.ROLE


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


def differences(before: Value, after: Value) -> str:
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


def _created(what: str, value: Declarable) -> Change:
    return Change(f"create {what}", _arn(value), after=_told(value))


def _deleted(what: str, value: Declarable) -> Change:
    return Change(f"delete {what}", _arn(value), before=_told(value))


def _updated(what: str, before: Value, after: Value) -> Change:
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
    return Change(f"update {what}: {differences(before, after)}", _arn(after), old, new)


def _told(value: Declarable) -> dict[str, object]:
    """Return what the audit log may say of a value: everything but its name and its secret."""
    members = {each: name for each, name in _MEMBERS.items() if each not in _UNTOLD}
    found: dict[str, object] = {name: getattr(value, each, None) for each, name in members.items()}
    return {name: told for name, told in found.items() if told}


_UNTOLD = ("name", "sealed_secret")


def _arn(value: Declarable) -> str:
    return "" if isinstance(value, AccessKey) else value.arn


def _identities(declared: Declared) -> tuple[User | Role, ...]:
    return (*declared.users, *declared.roles)


def _drop_keys(
    shelves: Shelves, account: str, wanted: dict[str, AccessKey], changes: list[Change]
) -> None:
    """Delete the file's keys that it no longer declares, or declares for somebody else."""
    for key in shelves.keys.values(EVERYWHERE):
        if not key.managed or key.account != account:
            continue
        declared = wanted.get(key.access_key_id)
        if declared is None or folded(declared.user_name) != folded(key.user_name):
            _delete_key(shelves, account, key.user_name, key.access_key_id, changes)


def _delete_key(
    shelves: Shelves, account: str, user_name: str, access_key_id: str, changes: list[Change]
) -> None:
    rules.delete_access_key(shelves, account, user_name, access_key_id)
    changes.append(Change(f"delete access key {access_key_id} of user {user_name}"))


def _drop_or_detach(
    shelves: Shelves, kept: User | Role, wanted: User | Role | None, changes: list[Change]
) -> None:
    kind, account = kind_of(kept), kept.account
    for arn in kept.attached_policies:
        if wanted is None or arn not in wanted.attached_policies:
            rules.detach_policy(shelves, account, kind, kept.name, arn)
            changes.append(Change(f"detach {arn} from {kind} {kept.name}", kept.arn))
    if wanted is None:
        for access_key_id in kept.access_key_ids if isinstance(kept, User) else ():
            _delete_key(shelves, account, kept.name, access_key_id, changes)
        for policy in kept.inline_policies:
            rules.delete_inline_policy(shelves, account, kind, kept.name, policy)
        rules.delete(shelves, account, kind, kept.name)
        changes.append(_deleted(f"{kind} {kept.name}", kept))


def _delete_policy(shelves: Shelves, policy: ManagedPolicy) -> None:
    only = tuple(each for each in policy.versions if each.id == policy.default_version)
    shelves.policies.put(policy.account, folded(policy.name), replace(policy, versions=only))
    rules.delete_policy(shelves, policy.account, policy.arn)


def _policy(shelves: Shelves, wanted: ManagedPolicy, changes: list[Change]) -> None:
    key = folded(wanted.name)
    kept = shelves.policies.get(wanted.account, key)
    if kept is None:
        rules.create_policy(shelves, replace(wanted, managed=True))
        changes.append(_created(f"policy {wanted.name}", wanted))
        return
    if not kept.managed:
        raise _taken("policy", wanted.name)
    rules.check_tags(wanted.tags)
    changed = replace(kept, name=wanted.name, tags=wanted.tags, description=wanted.description)
    if kept.document != wanted.document:
        room = replace(changed, versions=_with_room(kept))
        rules.add_version(shelves, room, wanted.document, wanted.update_date, set_default=True)
    elif changed != kept:
        shelves.policies.put(wanted.account, key, changed)
    else:
        return
    new = replace(changed, versions=wanted.versions, default_version=wanted.default_version)
    changes.append(_updated(f"policy {wanted.name}", kept, new))


def _with_room(policy: ManagedPolicy) -> tuple[PolicyVersion, ...]:
    """Return the versions without the oldest that is not the default, when they are all taken."""
    if len(policy.versions) < POLICY_VERSIONS:
        return policy.versions
    oldest = next(each for each in policy.versions if each.id != policy.default_version)
    return tuple(each for each in policy.versions if each is not oldest)


def _identity(shelves: Shelves, wanted: User | Role, changes: list[Change]) -> None:
    kind = kind_of(wanted)
    shelf = shelves.users if kind is IdentityKind.USER else shelves.roles
    kept = shelf.get(wanted.account, folded(wanted.name))
    rules.check_inline_policies(kind, wanted.name, wanted.inline_policies)
    if kept is None:
        bare = replace(wanted, attached_policies=(), managed=True)
        rules.create(shelves, replace(bare, trusted={}) if isinstance(bare, Role) else bare)
        changes.append(_created(f"{kind} {wanted.name}", wanted))
    elif not kept.managed:
        raise _taken(kind, wanted.name)
    else:
        rules.check_tags(wanted.tags)
        changed = _merged(kept, wanted)
        if changed != kept:
            rules.put(shelves, changed)
            changes.append(_updated(f"{kind} {wanted.name}", kept, changed))
    for arn in wanted.attached_policies:
        if kept is None or arn not in kept.attached_policies:
            rules.attach_policy(shelves, wanted.account, kind, wanted.name, arn)
            changes.append(Change(f"attach {arn} to {kind} {wanted.name}", wanted.arn))


def _merged(kept: User | Role, wanted: User | Role) -> User | Role:
    """Return what is kept with all that the file says, attachments aside."""
    said: tuple[str, ...] = ("name", "path", "tags", "inline_policies")
    if isinstance(wanted, Role):
        said += ("trust_policy", "description", "max_session_seconds")
    revoked_before = max(kept.revoked_before, wanted.revoked_before)
    return replace(
        kept, revoked_before=revoked_before, **{name: getattr(wanted, name) for name in said}
    )


def _bind(shelves: Shelves, wanted: Role, declared: Declared, changes: list[Change]) -> None:
    """Keep the ids of those whom a trust policy names, when all that is declared is there.

    Who is declared is whoever has the name now. Who is not stays who was named at first: else a
    later owner of the name would be trusted as soon as the file is applied again.
    """
    kept = rules.get_role(shelves, wanted.account, wanted.name)
    own = {(kind_of(each), folded(each.name)) for each in _identities(declared)}
    others = {arn: id_ for arn, id_ in kept.trusted.items() if _named(arn) not in own}
    try:
        trusted = bound(shelves, wanted.trusted, others)
    except MalformedPolicyDocument as refused:
        reason = f"{refused.message}: nobody has this ARN"
        raise InvalidInput(f"roles.{wanted.name}.trust: {reason}") from None
    if trusted == kept.trusted:
        return
    rules.put(shelves, replace(kept, trusted=trusted))
    created, updated = f"create role {wanted.name}", f"update role {wanted.name}:"
    if not any(each.what == created or each.what.startswith(updated) for each in changes):
        before: dict[str, object] = {"trusted": kept.trusted}
        changes.append(Change(f"{updated} trust", kept.arn, before, {"trusted": trusted}))


def _named(arn: str) -> tuple[IdentityKind, str] | None:
    found = PrincipalArn.parse(arn)
    return None if found is None else (found.kind, folded(found.name))


def _key(shelves: Shelves, wanted: AccessKey, changes: list[Change]) -> None:
    kept = shelves.keys.get(EVERYWHERE, wanted.access_key_id)
    what = f"access key {wanted.access_key_id} of user {wanted.user_name}"
    if kept is None:
        rules.create_access_key(shelves, replace(wanted, managed=True))
        changes.append(_created(what, wanted))
        return
    if not kept.managed or kept.account != wanted.account:
        raise _taken("access key", wanted.access_key_id)
    changed = replace(kept, status=wanted.status, sealed_secret=wanted.sealed_secret)
    if changed != kept:
        shelves.keys.put(EVERYWHERE, wanted.access_key_id, changed)
        changes.append(_updated(what, kept, changed))


def _account(shelves: Shelves, account: str, declared: Declared, changes: list[Change]) -> None:
    kept = rules.account_of(shelves, account)
    if declared.revoked_before > kept.revoked_before:
        rules.revoke_sessions(shelves, account, None, "", declared.revoked_before)
        changes.append(Change(f"revoke sessions of the root of account {account}"))
    if declared.suspended is True and kept.suspended is None:
        rules.suspend(shelves, account, declared.now)
        changes.append(Change(f"suspend account {account}"))
    if declared.suspended is False and kept.suspended is not None:
        rules.resume(shelves, account)
        changes.append(Change(f"resume account {account}"))


def _taken(what: str, name: str) -> EntityAlreadyExists:
    return EntityAlreadyExists(f"{what} {name} exists, and the identities file does not own it")
