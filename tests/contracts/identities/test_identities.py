"""Every IdentityStore: what is kept, what is refused, and that a refusal leaves nothing.

Covers: greenroom.storage.identities, greenroom.storage.identity_rules.access_keys,
    greenroom.storage.identity_rules.accounts, greenroom.storage.identity_rules.lookups,
    greenroom.storage.identity_rules.managed_policies,
    greenroom.storage.identity_rules.policies_of_identities,
    greenroom.storage.identity_rules.resolution, greenroom.storage.identity_rules.users_and_roles,
    greenroom.storage.identity_tables, greenroom.storage.identity_values,
    greenroom.storage.memory.identities, greenroom.storage.postgres.identities,
    greenroom.storage.sqlite.identities
"""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from greenroom.model import identity
from greenroom.model.identity import (
    IdentityKind,
    KeyStatus,
    LastUsed,
    ManagedPolicy,
    PolicyVersion,
    Role,
    User,
)
from greenroom.model.identity_errors import (
    DeleteConflict,
    EntityAlreadyExists,
    LimitExceeded,
    NoSuchEntity,
)
from greenroom.storage.base import StorageUnavailable, Store
from greenroom.storage.identity_values import Declared, RoleChange
from tests.contracts.identities.values import (
    ACCOUNT,
    DOCUMENT,
    OTHER,
    ROLE,
    USER,
    key,
    policy,
    role,
    user,
)

Kept = User | Role | ManagedPolicy


async def created(store: Store, value: Kept) -> None:
    """Create a user, role or policy."""
    match value:
        case User():
            await store.identities.create_user(value)
        case Role():
            await store.identities.create_role(value)
        case ManagedPolicy():
            await store.identities.create_policy(value)


async def deleted(store: Store, value: Kept) -> None:
    """Delete a user, role or policy."""
    match value:
        case User():
            await store.identities.delete_user(value.account, value.name)
        case Role():
            await store.identities.delete_role(value.account, value.name)
        case ManagedPolicy():
            await store.identities.delete_policy(value.account, value.arn)


async def test_users_come_back_whole_and_in_any_case(store: Store) -> None:
    """A user is found by the name in any case, as it was created, and only in its account."""
    anna = user("Anna", path="/team/", tags={"k": "v"})
    await store.identities.create_user(anna)
    assert await store.identities.get_user(ACCOUNT, "aNNa") == anna
    assert anna.arn == "arn:aws:iam::123456789012:user/team/Anna"
    with pytest.raises(NoSuchEntity):
        await store.identities.get_user(OTHER, "Anna")
    with pytest.raises(EntityAlreadyExists):
        await store.identities.create_user(user("ANNA"))
    await store.identities.create_user(user("anna", account=OTHER))
    await store.identities.create_role(role("anna"))
    await store.identities.delete_user(ACCOUNT, "anna")
    with pytest.raises(NoSuchEntity):
        await store.identities.delete_user(ACCOUNT, "anna")


async def test_lists_are_pages_in_the_order_of_names(store: Store) -> None:
    """Pages walk users by folded name; the path prefix chooses; changes in between lose nothing."""
    for name in ("b", "A", "c", "D"):
        await store.identities.create_user(user(name, path="/x/" if name in "bD" else "/"))
        await store.identities.create_role(role(name))
    first = await store.identities.list_users(ACCOUNT, 2)
    assert [each.name for each in first.values] == ["A", "b"]
    assert first.next == "b"
    await store.identities.delete_user(ACCOUNT, "b")
    rest = await store.identities.list_users(ACCOUNT, 2, first.next)
    assert ([each.name for each in rest.values], rest.next) == (["c", "D"], None)
    on_path = await store.identities.list_users(ACCOUNT, 9, path_prefix="/x/")
    assert [each.name for each in on_path.values] == ["D"]
    roles = await store.identities.list_roles(ACCOUNT, 3)
    assert ([each.name for each in roles.values], roles.next) == (["A", "b", "c"], "c")
    assert (await store.identities.list_users(OTHER, 2)).values == ()


async def test_roles_change(store: Store) -> None:
    """A change of a role leaves what it does not name."""
    await store.identities.create_role(role(description="d"))
    changed = await store.identities.update_role(ACCOUNT, "MOD", RoleChange(trust_policy="[]"))
    assert (changed.trust_policy, changed.description) == ("[]", "d")
    changed = await store.identities.update_role(
        ACCOUNT, "mod", RoleChange(description="", max_session_seconds=7200)
    )
    assert (changed.trust_policy, changed.description, changed.max_session_seconds) == (
        ("[]", "", 7200)
    )
    assert await store.identities.get_role(ACCOUNT, "mod") == changed


async def test_two_keys_per_user(store: Store) -> None:
    """A user has at most two keys, whatever comes at once; an id is taken for every account."""
    identities = store.identities
    await identities.create_user(user())
    made = await asyncio.gather(
        *(identities.create_access_key(key(f"AKIA{number}")) for number in range(5)),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in made) == ["LimitExceeded"] * 3 + ["NoneType"] * 2
    assert len(await identities.list_access_keys(ACCOUNT, "anna")) == 2
    await identities.create_user(user(account=OTHER))
    with pytest.raises(EntityAlreadyExists):
        await identities.create_access_key(key("AKIA0", account=OTHER))
    with pytest.raises(NoSuchEntity):
        await identities.create_access_key(key("AKIA9", "nobody"))


async def test_keys_are_switched_and_deleted_by_their_user_only(store: Store) -> None:
    """A key is found by its id, keeps its secret's bytes, and belongs to one user."""
    identities = store.identities
    await identities.create_user(user())
    await identities.create_user(user("ben"))
    await identities.create_access_key(key())
    assert (await identities.find_access_key("AKIA1")).sealed_secret == b"\0sealed\xff"
    for name in ("ben", "nobody"):
        with pytest.raises(NoSuchEntity):
            await identities.update_access_key(ACCOUNT, name, "AKIA1", KeyStatus.INACTIVE)
        with pytest.raises(NoSuchEntity):
            await identities.delete_access_key(ACCOUNT, name, "AKIA1")
    await identities.update_access_key(ACCOUNT, "Anna", "AKIA1", KeyStatus.INACTIVE)
    assert (await identities.find_access_key("AKIA1")).status is KeyStatus.INACTIVE
    with pytest.raises(DeleteConflict):
        await identities.delete_user(ACCOUNT, "anna")
    await identities.delete_access_key(ACCOUNT, "anna", "AKIA1")
    with pytest.raises(NoSuchEntity):
        await identities.find_access_key("AKIA1")
    await identities.delete_user(ACCOUNT, "anna")


async def test_last_use_follows_the_clock(store: Store) -> None:
    """A use that a clock noted over an hour ahead is replaced by the next one."""
    await store.identities.create_user(user())
    await store.identities.create_access_key(key())
    use = LastUsed(1, "ivschat", "us-east-1")
    for ahead, replaced in ((3_600_001, False), (3_600_002, True)):
        noted = LastUsed(ahead, "iam", "us-east-1")
        await store.identities.record_last_used({"AKIA1": noted})
        await store.identities.record_last_used({"AKIA1": use})
        last_used = (await store.identities.find_access_key("AKIA1")).last_used
        assert last_used == (use if replaced else noted)


async def test_a_use_goes_with_the_very_key(store: Store) -> None:
    """What was noted of a key before another was made under its id is not that one's use."""
    await store.identities.create_user(user())
    await store.identities.create_access_key(key(create_date=50_000))
    before, use = LastUsed(49_999, "iam", "us-east-1"), LastUsed(50_000, "ivschat", "us-east-1")
    await store.identities.record_last_used({"AKIA1": before})
    assert (await store.identities.find_access_key("AKIA1")).last_used is None
    await store.identities.record_last_used({"AKIA1": use})
    assert (await store.identities.find_access_key("AKIA1")).last_used == use


async def test_last_use_never_goes_back(store: Store) -> None:
    """The latest use stays; a key that is gone is passed over."""
    await store.identities.create_user(user())
    await store.identities.create_access_key(key())
    newest = LastUsed(20, "ivschat", "us-east-1")
    await store.identities.record_last_used({"AKIA1": newest, "AKIA2": newest})
    for date in (10, 20):
        await store.identities.record_last_used({"AKIA1": LastUsed(date, "iam", "us-east-1")})
    assert (await store.identities.find_access_key("AKIA1")).last_used == newest


@pytest.mark.parametrize("kind", [USER, ROLE])
async def test_inline_policies(store: Store, kind: IdentityKind) -> None:
    """Inline policies are put, replaced and deleted, and bounded without their whitespace."""
    identities = store.identities
    await identities.create_user(user("x"))
    await identities.create_role(role("x"))
    full = "{" + " " * 9000 + "1" * (kind.inline_characters - 2) + "}"
    await identities.put_inline_policy(ACCOUNT, kind, "x", "p", "{}")
    await identities.put_inline_policy(ACCOUNT, kind, "x", "p", full)
    with pytest.raises(LimitExceeded):
        await identities.put_inline_policy(ACCOUNT, kind, "x", "q", "1")
    get = identities.get_user if kind is USER else identities.get_role
    assert (await get(ACCOUNT, "x")).inline_policies == {"p": full}
    delete = identities.delete_user if kind is USER else identities.delete_role
    with pytest.raises(DeleteConflict):
        await delete(ACCOUNT, "x")
    await identities.delete_inline_policy(ACCOUNT, kind, "x", "p")
    with pytest.raises(NoSuchEntity):
        await identities.delete_inline_policy(ACCOUNT, kind, "x", "p")
    await delete(ACCOUNT, "x")


async def test_attachments_hold(store: Store) -> None:
    """What is attached is not deleted, on either side; attaching again changes nothing."""
    identities, arn = store.identities, policy().arn
    await identities.create_user(user())
    await identities.create_role(role())
    with pytest.raises(NoSuchEntity):
        await identities.attach_policy(ACCOUNT, USER, "anna", arn)
    await identities.create_policy(policy())
    await identities.create_policy(policy("chat2"))
    for _ in range(2):
        await identities.attach_policy(ACCOUNT, USER, "Anna", arn)
        await identities.attach_policy(ACCOUNT, ROLE, "mod", arn)
    assert (await identities.get_policy(ACCOUNT, arn)).attachments == 2
    found = await identities.list_entities_for_policy(ACCOUNT, arn)
    assert [(each.kind, each.name) for each in found] == [(ROLE, "mod"), (USER, "anna")]
    attached = await identities.list_policies(ACCOUNT, 9, only_attached=True)
    assert [each.name for each in attached.values] == ["chat"]
    for refused in (
        identities.delete_policy(ACCOUNT, arn),
        identities.delete_user(ACCOUNT, "anna"),
        identities.delete_role(ACCOUNT, "mod"),
    ):
        with pytest.raises(DeleteConflict):
            await refused
    await identities.detach_policy(ACCOUNT, USER, "anna", arn)
    with pytest.raises(NoSuchEntity):
        await identities.detach_policy(ACCOUNT, USER, "anna", arn)
    await identities.detach_policy(ACCOUNT, ROLE, "mod", arn)
    await identities.delete_policy(ACCOUNT, arn)
    with pytest.raises(NoSuchEntity):
        await identities.list_entities_for_policy(ACCOUNT, arn)


async def test_ten_attachments(store: Store) -> None:
    """A user has at most ten managed policies."""
    await store.identities.create_user(user())
    for number in range(11):
        await store.identities.create_policy(policy(f"p{number}"))
    for number in range(10):
        await store.identities.attach_policy(ACCOUNT, USER, "anna", policy(f"p{number}").arn)
    with pytest.raises(LimitExceeded):
        await store.identities.attach_policy(ACCOUNT, USER, "anna", policy("p10").arn)


async def test_versions(store: Store) -> None:
    """Numbers of versions are never used again; five at most; the default one stays."""
    identities, arn = store.identities, policy().arn
    await identities.create_policy(policy())
    with pytest.raises(EntityAlreadyExists):
        await identities.create_policy(policy("CHAT", path="/x/"))
    for number in range(2, 6):
        made = await identities.create_policy_version(
            ACCOUNT, arn, f"[{number}]", 9, set_default=number == 3
        )
        assert made == PolicyVersion(id=f"v{number}", document=f"[{number}]", create_date=9)
    kept = await identities.get_policy(ACCOUNT, arn)
    assert (kept.default_version, kept.document, kept.update_date) == ("v3", "[3]", 9)
    with pytest.raises(LimitExceeded):
        await identities.create_policy_version(ACCOUNT, arn, "[6]", 9, set_default=True)
    with pytest.raises(DeleteConflict):
        await identities.delete_policy_version(ACCOUNT, arn, "v3")
    with pytest.raises(DeleteConflict):
        await identities.delete_policy(ACCOUNT, arn)
    await identities.delete_policy_version(ACCOUNT, arn, "v5")
    made = await identities.create_policy_version(ACCOUNT, arn, "[6]", 9, set_default=False)
    assert made.id == "v6"
    await identities.set_default_policy_version(ACCOUNT, arn, "v1", 10)
    assert (await identities.get_policy(ACCOUNT, arn)).document == DOCUMENT
    for version in ("v5", "v9"):
        with pytest.raises(NoSuchEntity):
            await identities.set_default_policy_version(ACCOUNT, arn, version, 11)
        with pytest.raises(NoSuchEntity):
            await identities.delete_policy_version(ACCOUNT, arn, version)
    with pytest.raises(NoSuchEntity):
        await identities.get_policy(ACCOUNT, arn.replace("/chat", "/x/chat"))


async def test_tags_have_a_quota(store: Store) -> None:
    """A user or role has at most 50 tags; a refused change leaves what was there."""
    await store.identities.create_user(user(tags={"a": "1"}))
    await store.identities.tag_identity(ACCOUNT, USER, "anna", {"a": "2", "b": "3"})
    with pytest.raises(LimitExceeded):
        await store.identities.tag_identity(
            ACCOUNT, USER, "anna", {f"k{number}": "" for number in range(49)}
        )
    await store.identities.untag_identity(ACCOUNT, USER, "anna", ("a", "absent"))
    assert (await store.identities.get_user(ACCOUNT, "anna")).tags == {"b": "3"}


async def test_tags_that_differ_in_case(store: Store) -> None:
    """A tag takes the place of one whose key differs in case only; so it is removed, too."""
    await store.identities.create_user(user("anna", tags={"Team": "web", "Straße": "1"}))
    await store.identities.tag_identity(ACCOUNT, USER, "anna", {"team": "admin", "STRASSE": "2"})
    tags = (await store.identities.get_user(ACCOUNT, "anna")).tags
    assert tags == {"Straße": "1", "team": "admin", "STRASSE": "2"}
    await store.identities.untag_identity(ACCOUNT, USER, "anna", ("TEAM", "strasse"))
    assert (await store.identities.get_user(ACCOUNT, "anna")).tags == {"Straße": "1"}


@pytest.mark.parametrize(
    ("make", "quota", "says"),
    [
        (user, 2, "UsersPerAccount: 2"),
        (role, 1, "RolesPerAccount: 1"),
        (policy, 3, "PoliciesPerAccount: 3"),
    ],
)
async def test_an_account_has_quotas(
    store: Store, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Kept], quota: int, says: str
) -> None:
    """Users, roles and policies are counted per account, and what is deleted makes place."""
    assert (USER.quota, ROLE.quota, identity.POLICIES_PER_ACCOUNT) == (5000, 1000, 1500)
    monkeypatch.setattr(IdentityKind, "quota", property({USER: 2, ROLE: 1}.__getitem__))
    monkeypatch.setattr(identity, "POLICIES_PER_ACCOUNT", 3)
    kept = [make(f"n{number}") for number in range(quota)]
    for each in kept:
        await created(store, each)
    with pytest.raises(LimitExceeded, match=says):
        await created(store, make("more"))
    await created(store, msgspec.structs.replace(kept[0], account=OTHER))
    await deleted(store, kept[0])
    await created(store, make("more"))


@pytest.mark.parametrize("make", [user, role, policy])
async def test_what_is_created_has_a_quota_of_tags(store: Store, make: Callable[..., Kept]) -> None:
    """Users, roles and policies are not created with more tags than they could be given."""
    tags = {f"k{number}": "" for number in range(51)}
    with pytest.raises(LimitExceeded, match="TagsPerResource: 50"):
        await created(store, make("much", tags=tags))
    del tags["k50"]
    await created(store, make("much", tags=tags))


async def test_resolutions_hold_everything(store: Store) -> None:
    """A key resolves to its user and policies; an identity also to a parent key and others."""
    identities = store.identities
    await identities.create_user(user(inline_policies={"i": "{}"}))
    await identities.create_role(role())
    await identities.create_policy(policy())
    await identities.create_policy(policy("narrow"))
    await identities.attach_policy(ACCOUNT, USER, "anna", policy().arn)
    await identities.create_access_key(key())
    found = await identities.resolve_key("AKIA1")
    assert found.key == key()
    assert found.identity == await identities.get_user(ACCOUNT, "anna")
    assert list(found.policies) == [policy().arn]
    narrow, foreign = policy("narrow").arn, policy("narrow").arn.replace(ACCOUNT, OTHER)
    found = await identities.resolve_identity(ACCOUNT, ROLE, "mod", (narrow, foreign), "AKIA1")
    assert (found.key, list(found.policies)) == (key(), [narrow])
    found = await identities.resolve_identity(ACCOUNT, None, "", (), "AKIA2")
    assert (found.key, found.identity, found.account.id) == (None, None, ACCOUNT)
    with pytest.raises(NoSuchEntity):
        await identities.resolve_key("AKIA2")
    with pytest.raises(NoSuchEntity):
        await identities.resolve_identity(ACCOUNT, ROLE, "other")


async def test_revocation_never_goes_back(store: Store) -> None:
    """The time before which credentials are refused only grows, for users, roles and the root."""
    identities = store.identities
    await identities.create_user(user())
    for before in (5, 3):
        await identities.revoke_sessions(ACCOUNT, USER, "anna", before)
        await identities.revoke_sessions(ACCOUNT, None, "", before)
    assert (await identities.get_user(ACCOUNT, "anna")).revoked_before == 5
    assert (await identities.resolve_identity(ACCOUNT, None, "")).account.revoked_before == 5


async def test_ended_sessions_are_counted(store: Store) -> None:
    """For users, roles and the root, each by itself; declaring them again ends nothing more."""
    identities = store.identities
    await identities.apply(ACCOUNT, Declared(users=(user(),), roles=(role(),)))
    for kind, name in ((USER, "Anna"), (ROLE, "mod"), (ROLE, "MOD"), (None, "")):
        await identities.end_sessions(ACCOUNT, kind, name)
    for kind in (USER, ROLE):
        with pytest.raises(NoSuchEntity):
            await identities.end_sessions(ACCOUNT, kind, "nobody")
    tagged = Declared(users=(user(tags={"k": "v"}),), roles=(role(path="/p/"),))
    await identities.apply(ACCOUNT, tagged)
    assert (await identities.get_user(ACCOUNT, "anna")).sessions_ended == 1
    assert (await identities.get_role(ACCOUNT, "mod")).sessions_ended == 2
    assert (await identities.resolve_identity(ACCOUNT, None, "")).account.sessions_ended == 1
    assert (await identities.resolve_identity(OTHER, None, "")).account.sessions_ended == 0


async def test_suspension(store: Store) -> None:
    """An account is suspended since the first time, until it is resumed."""
    assert await store.identities.suspended_accounts() == frozenset()
    await store.identities.suspend(ACCOUNT, 5)
    await store.identities.suspend(ACCOUNT, 6)
    assert await store.identities.suspended_accounts() == {ACCOUNT}
    assert (await store.identities.resolve_identity(ACCOUNT, None, "")).account.suspended == 5
    await store.identities.resume(ACCOUNT)
    await store.identities.resume(OTHER)
    assert await store.identities.suspended_accounts() == frozenset()


async def test_closed(store: Store) -> None:
    """A closed store answers nothing."""
    await store.close()
    with pytest.raises(StorageUnavailable):
        await store.identities.get_user(ACCOUNT, "anna")
    with pytest.raises(StorageUnavailable):
        await store.identities.create_user(user())
