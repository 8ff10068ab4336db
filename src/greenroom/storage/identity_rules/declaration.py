"""Make what the identities file owns what it declares.

What is there already keeps its id, its times, the sessions revoked, the last uses, older versions
of policies (the oldest go at the quota), and keys that were made otherwise. Of a user or role that
the file owns, it owns all policies and attachments.
"""

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
from greenroom.storage.identity_rules import (
    access_keys,
    accounts,
    lookups,
    managed_policies,
    policies_of_identities,
    users_and_roles,
)
from greenroom.storage.identity_rules.declared_changes import created, deleted, updated
from greenroom.storage.identity_rules.transaction import EVERYWHERE, Transaction, folded
from greenroom.storage.identity_rules.trusted_principals import bound
from greenroom.storage.identity_values import Change, Declared


async def apply(transaction: Transaction, account: str, declared: Declared) -> tuple[Change, ...]:
    """Make what the identities file owns exactly what it declares.

    Returns each change; none when nothing differs. What the file does not own is not touched. What
    is no longer declared goes first, so that its names, paths and key ids are free.

    Raises:
        EntityAlreadyExists: a name or key id is taken by something that the file does not own.
        NoSuchEntity: a declared attachment, or a key's user, is not there.
        DeleteConflict: what is no longer declared is still used by what the file does not own.
        LimitExceeded: a quota.
        InvalidInput: a trust policy names somebody who is neither declared nor there, and was not
            when the policy was saved first.
    """
    changes: list[Change] = []
    await _drop_keys(
        transaction, account, {key.access_key_id: key for key in declared.keys}, changes
    )
    wanted = {(kind_of(each), folded(each.name)): each for each in _identities(declared)}
    kept_ones: list[User | Role] = [
        *await transaction.users.values(account),
        *await transaction.roles.values(account),
    ]
    for kept in kept_ones:
        if kept.managed:
            await _drop_or_detach(
                transaction, kept, wanted.get((kind_of(kept), folded(kept.name))), changes
            )
    arns = {policy.arn for policy in declared.policies}
    for policy in await transaction.policies.values(account):
        if policy.managed and policy.arn not in arns:
            await _delete_policy(transaction, policy)
            changes.append(deleted(f"policy {policy.name}", policy))
    for policy in declared.policies:
        await _policy(transaction, policy, changes)
    for identity in _identities(declared):
        await _identity(transaction, identity, changes)
    for role in declared.roles:
        await _bind(transaction, role, declared, changes)
    for key in declared.keys:
        await _key(transaction, key, changes)
    await _account(transaction, account, declared, changes)
    return tuple(changes)


def kind_of(value: User | Role) -> IdentityKind:
    """Return which of the two it is."""
    return IdentityKind.USER if isinstance(value, User) else IdentityKind.ROLE


def _identities(declared: Declared) -> tuple[User | Role, ...]:
    return (*declared.users, *declared.roles)


async def _drop_keys(
    transaction: Transaction, account: str, wanted: dict[str, AccessKey], changes: list[Change]
) -> None:
    """Delete the file's keys that it no longer declares, or declares for somebody else."""
    for key in await transaction.keys.values(EVERYWHERE):
        if not key.managed or key.account != account:
            continue
        declared = wanted.get(key.access_key_id)
        if declared is None or folded(declared.user_name) != folded(key.user_name):
            await _delete_key(transaction, account, key.user_name, key.access_key_id, changes)


async def _delete_key(
    transaction: Transaction,
    account: str,
    user_name: str,
    access_key_id: str,
    changes: list[Change],
) -> None:
    await access_keys.delete_access_key(transaction, account, user_name, access_key_id)
    changes.append(Change(f"delete access key {access_key_id} of user {user_name}"))


async def _drop_or_detach(
    transaction: Transaction, kept: User | Role, wanted: User | Role | None, changes: list[Change]
) -> None:
    kind, account = kind_of(kept), kept.account
    for arn in kept.attached_policies:
        if wanted is None or arn not in wanted.attached_policies:
            await policies_of_identities.detach_policy(transaction, account, kind, kept.name, arn)
            changes.append(Change(f"detach {arn} from {kind} {kept.name}", kept.arn))
    if wanted is None:
        for access_key_id in kept.access_key_ids if isinstance(kept, User) else ():
            await _delete_key(transaction, account, kept.name, access_key_id, changes)
        for policy in kept.inline_policies:
            await policies_of_identities.delete_inline_policy(
                transaction, account, kind, kept.name, policy
            )
        await users_and_roles.delete(transaction, account, kind, kept.name)
        changes.append(deleted(f"{kind} {kept.name}", kept))


async def _delete_policy(transaction: Transaction, policy: ManagedPolicy) -> None:
    only = tuple(each for each in policy.versions if each.id == policy.default_version)
    await transaction.policies.put(
        policy.account, folded(policy.name), replace(policy, versions=only)
    )
    await managed_policies.delete_policy(transaction, policy.account, policy.arn)


async def _policy(transaction: Transaction, wanted: ManagedPolicy, changes: list[Change]) -> None:
    key = folded(wanted.name)
    kept = await transaction.policies.get(wanted.account, key)
    if kept is None:
        await managed_policies.create_policy(transaction, replace(wanted, managed=True))
        changes.append(created(f"policy {wanted.name}", wanted))
        return
    if not kept.managed:
        raise _taken("policy", wanted.name)
    lookups.check_tags(wanted.tags)
    changed = replace(kept, name=wanted.name, tags=wanted.tags, description=wanted.description)
    if kept.document != wanted.document:
        room = replace(changed, versions=_with_room(kept))
        await managed_policies.add_version(
            transaction, room, wanted.document, wanted.update_date, set_default=True
        )
    elif changed != kept:
        await transaction.policies.put(wanted.account, key, changed)
    else:
        return
    new = replace(changed, versions=wanted.versions, default_version=wanted.default_version)
    changes.append(updated(f"policy {wanted.name}", kept, new))


def _with_room(policy: ManagedPolicy) -> tuple[PolicyVersion, ...]:
    """Return the versions without the oldest that is not the default, when they are all taken."""
    if len(policy.versions) < POLICY_VERSIONS:
        return policy.versions
    oldest = next(each for each in policy.versions if each.id != policy.default_version)
    return tuple(each for each in policy.versions if each is not oldest)


async def _identity(transaction: Transaction, wanted: User | Role, changes: list[Change]) -> None:
    kind = kind_of(wanted)
    table = transaction.users if kind is IdentityKind.USER else transaction.roles
    kept = await table.get(wanted.account, folded(wanted.name))
    lookups.check_inline_policies(kind, wanted.name, wanted.inline_policies)
    if kept is None:
        bare = replace(wanted, attached_policies=(), managed=True)
        await users_and_roles.insert(
            transaction, replace(bare, trusted={}) if isinstance(bare, Role) else bare
        )
        changes.append(created(f"{kind} {wanted.name}", wanted))
    elif not kept.managed:
        raise _taken(kind, wanted.name)
    else:
        lookups.check_tags(wanted.tags)
        changed = _merged(kept, wanted)
        if changed != kept:
            await lookups.put(transaction, changed)
            changes.append(updated(f"{kind} {wanted.name}", kept, changed))
    for arn in wanted.attached_policies:
        if kept is None or arn not in kept.attached_policies:
            await policies_of_identities.attach_policy(
                transaction, wanted.account, kind, wanted.name, arn
            )
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


async def _bind(
    transaction: Transaction, wanted: Role, declared: Declared, changes: list[Change]
) -> None:
    """Keep the ids of those whom a trust policy names, when all that is declared is there.

    Who is declared is whoever has the name now. Who is not stays who was named at first: else a
    later owner of the name would be trusted as soon as the file is applied again.
    """
    kept = await lookups.get_role(transaction, wanted.account, wanted.name)
    own = {(kind_of(each), folded(each.name)) for each in _identities(declared)}
    others = {arn: id_ for arn, id_ in kept.trusted.items() if _named(arn) not in own}
    try:
        trusted = await bound(transaction, wanted.trusted, others)
    except MalformedPolicyDocument as refused:
        reason = f"{refused.message}: nobody has this ARN"
        raise InvalidInput(f"roles.{wanted.name}.trust: {reason}") from None
    if trusted == kept.trusted:
        return
    await lookups.put(transaction, replace(kept, trusted=trusted))
    new, changed = f"create role {wanted.name}", f"update role {wanted.name}:"
    if not any(each.what == new or each.what.startswith(changed) for each in changes):
        before: dict[str, object] = {"trusted": kept.trusted}
        changes.append(Change(f"{changed} trust", kept.arn, before, {"trusted": trusted}))


def _named(arn: str) -> tuple[IdentityKind, str] | None:
    found = PrincipalArn.parse(arn)
    return None if found is None else (found.kind, folded(found.name))


async def _key(transaction: Transaction, wanted: AccessKey, changes: list[Change]) -> None:
    kept = await transaction.keys.get(EVERYWHERE, wanted.access_key_id)
    what = f"access key {wanted.access_key_id} of user {wanted.user_name}"
    if kept is None:
        await access_keys.create_access_key(transaction, replace(wanted, managed=True))
        changes.append(created(what, wanted))
        return
    if not kept.managed or kept.account != wanted.account:
        raise _taken("access key", wanted.access_key_id)
    changed = replace(kept, status=wanted.status, sealed_secret=wanted.sealed_secret)
    if changed != kept:
        await transaction.keys.put(EVERYWHERE, wanted.access_key_id, changed)
        changes.append(updated(what, kept, changed))


async def _account(
    transaction: Transaction, account: str, declared: Declared, changes: list[Change]
) -> None:
    kept = await lookups.account_of(transaction, account)
    if declared.revoked_before > kept.revoked_before:
        await accounts.revoke_sessions(transaction, account, None, "", declared.revoked_before)
        changes.append(Change(f"revoke sessions of the root of account {account}"))
    if declared.suspended is True and kept.suspended is None:
        await accounts.suspend(transaction, account, declared.now)
        changes.append(Change(f"suspend account {account}"))
    if declared.suspended is False and kept.suspended is not None:
        await accounts.resume(transaction, account)
        changes.append(Change(f"resume account {account}"))


def _taken(what: str, name: str) -> EntityAlreadyExists:
    return EntityAlreadyExists(f"{what} {name} exists, and the identities file does not own it")
