"""Every IdentityStore: what an identities file declares, and whom trust policies name.

Covers: greenroom.storage.identity_rules.declaration,
    greenroom.storage.identity_rules.declared_changes,
    greenroom.storage.identity_rules.trusted_principals, greenroom.storage.memory.identities,
    greenroom.storage.postgres.identities, greenroom.storage.sqlite.identities
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from greenroom.model.identity import (
    AccessKey,
    KeyStatus,
    Role,
    User,
)
from greenroom.model.identity_errors import (
    DeleteConflict,
    EntityAlreadyExists,
    InvalidInput,
    LimitExceeded,
    NoSuchEntity,
)
from greenroom.policies.text import MalformedPolicyDocument
from greenroom.storage.base import Store
from greenroom.storage.identity_values import Change, Declared, RoleChange
from greenroom.storage.memory.store import MemoryStore
from tests.contracts.identities.values import (
    ACCOUNT,
    OTHER,
    USER,
    key,
    policy,
    role,
    user,
)


def told(changes: Iterable[Change]) -> tuple[str, ...]:
    """Return the lines about changes."""
    return tuple(change.what for change in changes)


async def test_declared_changes_are_told_once(store: Store) -> None:
    """Applying twice changes nothing the second time; each change is one line without content."""
    declared = Declared(
        users=(user(attached_policies=(policy().arn,), inline_policies={"i": "{}"}),),
        roles=(role(),),
        policies=(policy(),),
        keys=(key(),),
    )
    assert told(await store.identities.apply(ACCOUNT, declared)) == (
        "create policy chat",
        "create user anna",
        f"attach {policy().arn} to user anna",
        "create role mod",
        "create access key AKIA1 of user anna",
    )
    assert told(await store.identities.apply(ACCOUNT, declared)) == ()
    changed = replace(declared, policies=(policy(document="[]"),), roles=(), keys=())
    assert told(await store.identities.apply(ACCOUNT, changed)) == (
        "delete access key AKIA1 of user anna",
        "delete role mod",
        "update policy chat: document",
    )
    assert len(await store.identities.apply(ACCOUNT, Declared())) == 3
    assert (await store.identities.list_users(ACCOUNT, 9)).values == ()


async def test_declared_differences_have_names_only(store: Store) -> None:
    """An update says which members and which keys of tables differ, and none of their values."""
    first = user(tags={"team": "a", "same": "s"}, inline_policies={"kept": "{}", "gone": "{}"})
    await store.identities.apply(ACCOUNT, Declared(users=(first,), keys=(key(),)))
    second = user(tags={"team": "b", "same": "s"}, inline_policies={"kept": "{}", "new": "{}"})
    inactive = replace(key(), status=KeyStatus.INACTIVE)
    assert told(
        await store.identities.apply(ACCOUNT, Declared(users=(second,), keys=(inactive,)))
    ) == (
        "update user anna: tags team, policies gone new",
        "update access key AKIA1 of user anna: status",
    )
    assert (await store.identities.find_access_key("AKIA1")).status is KeyStatus.INACTIVE


async def test_declared_changes_hold_what_was_and_what_is(store: Store) -> None:
    """Whoever audits sees documents and tags before and after, of whom, and no secret."""
    first = user(tags={"team": "a", "same": "s"}, inline_policies={"kept": "{}", "gone": "{}"})
    everything = Declared(users=(first,), policies=(policy(),), keys=(key(),))
    created = {each.what: each for each in await store.identities.apply(ACCOUNT, everything)}
    assert created["create policy chat"] == Change(
        "create policy chat",
        policy().arn,
        after={"path": policy().path, "document": policy().document},
    )
    second = user(tags={"team": "b", "same": "s"}, inline_policies={"kept": "{}", "new": "[]"})
    changed = Declared(users=(second,), policies=(policy(document="[]"),))
    dropped, document, tags = await store.identities.apply(ACCOUNT, changed)
    assert dropped == Change("delete access key AKIA1 of user anna")
    assert (document.before, document.after) == (
        {"document": policy().document},
        {"document": "[]"},
    )
    assert (tags.arn, tags.before, tags.after) == (
        first.arn,
        {"tags": {"team": "a"}, "policies": {"gone": "{}"}},
        {"tags": {"team": "b"}, "policies": {"new": "[]"}},
    )
    told_secrets = str([created, dropped, document, tags])
    assert "sealed" not in told_secrets
    assert "secret" not in told_secrets


async def test_declarations_leave_what_they_do_not_own(store: Store) -> None:
    """A name that is taken, or a policy that others use, refuses the whole and changes nothing."""
    identities = store.identities
    await identities.create_user(user("ben"))
    with pytest.raises(EntityAlreadyExists, match="user BEN"):
        await identities.apply(ACCOUNT, Declared(users=(user("anna"), user("BEN"))))
    with pytest.raises(NoSuchEntity):
        await identities.get_user(ACCOUNT, "anna")
    await identities.apply(ACCOUNT, Declared(users=(user("anna"),), policies=(policy(),)))
    await identities.attach_policy(ACCOUNT, USER, "ben", policy().arn)
    with pytest.raises(DeleteConflict):
        await identities.apply(ACCOUNT, Declared())
    assert (await identities.get_user(ACCOUNT, "anna")).managed
    await identities.create_access_key(key("AKIA7"))
    assert (
        await identities.apply(ACCOUNT, Declared(users=(user("anna"),), policies=(policy(),))) == ()
    )
    assert (await identities.find_access_key("AKIA7")).user_name == "anna"


def trusting(name: str, *arns: str, **members: Any) -> Role:
    """Return a role whose trust policy names these."""
    return replace(role(name, **members), trusted=dict.fromkeys(arns, ""))


async def test_a_trust_policy_keeps_the_ids_of_whom_it_names(store: Store) -> None:
    """Users, roles and sessions of any account are kept by id; who is gone is told apart."""
    identities = store.identities
    await identities.create_user(user(path="/p/"))
    await identities.create_user(user(account=OTHER, id="AIDAother"))
    await identities.create_role(role("from"))
    arns = {
        user(path="/p/").arn: "AIDAanna",
        user(account=OTHER).arn: "AIDAother",
        role("from").arn: "AROAfrom",
        role("from").session_arn("s"): "AROAfrom:s",
    }
    await identities.create_role(trusting("mod", *arns))
    kept = await identities.get_role(ACCOUNT, "mod")
    assert kept.trusted == arns
    assert await identities.present_principals([kept]) == {id_: arn for arn, id_ in arns.items()}
    await identities.delete_user(ACCOUNT, "anna")
    await identities.delete_role(ACCOUNT, "from")
    await identities.create_user(user(id="AIDAsecond", path="/p/"))
    kept = await identities.get_role(ACCOUNT, "mod")
    assert kept.trusted == arns
    assert await identities.present_principals([kept]) == {"AIDAother": user(account=OTHER).arn}
    change = RoleChange(trust_policy="[]", trusted=(user(path="/p/").arn,))
    changed = await identities.update_role(ACCOUNT, "mod", change)
    assert changed.trusted == {user(path="/p/").arn: "AIDAsecond"}
    same = await identities.update_role(ACCOUNT, "mod", RoleChange(description="d"))
    assert same.trusted == changed.trusted


async def test_a_trust_policy_names_who_is_there(store: Store) -> None:
    """A name that nobody has is refused, and leaves nothing."""
    await store.identities.create_role(role("mod"))
    for arn in (user().arn, role("Mod").arn, role("new").arn, role("no").session_arn("s"), "*"):
        with pytest.raises(MalformedPolicyDocument, match='"AWS":"'):
            await store.identities.create_role(trusting("new", arn))
        change = RoleChange(trust_policy="[]", trusted=(arn,))
        with pytest.raises(MalformedPolicyDocument):
            await store.identities.update_role(ACCOUNT, "mod", change)
    assert await store.identities.get_role(ACCOUNT, "mod") == role("mod")
    with pytest.raises(NoSuchEntity):
        await store.identities.get_role(ACCOUNT, "new")


async def test_declared_roles_trust_who_is_declared(store: Store) -> None:
    """Declared roles may name each other; whoever is declared anew under a name is meant again."""
    identities = store.identities
    anna, one, two = user(), trusting("one", role("two").arn), trusting("two", user().arn)
    one = replace(one, trusted={**one.trusted, one.arn: ""})
    declared = Declared(users=(anna,), roles=(one, two))
    assert told(await identities.apply(ACCOUNT, declared)) == (
        "create user anna",
        "create role one",
        "create role two",
    )
    assert told(await identities.apply(ACCOUNT, declared)) == ()
    kept = await identities.get_role(ACCOUNT, "one")
    assert kept.trusted == {two.arn: "AROAtwo", one.arn: "AROAone"}
    await identities.delete_user(ACCOUNT, "anna")
    again = replace(declared, users=(replace(anna, id="AIDAagain"),))
    assert told(await identities.apply(ACCOUNT, again)) == (
        "create user anna",
        "update role two: trust",
    )
    assert (await identities.get_role(ACCOUNT, "two")).trusted == {anna.arn: "AIDAagain"}


async def test_declared_roles_trust_others_once(store: Store) -> None:
    """Who is not declared is whom the policy named first, however often the file is applied."""
    identities = store.identities
    declared = Declared(roles=(trusting("mod", user("bob").arn),))
    with pytest.raises(InvalidInput, match=r"roles\.mod\.trust: Invalid principal .* nobody"):
        await identities.apply(ACCOUNT, declared)
    with pytest.raises(NoSuchEntity):
        await identities.get_role(ACCOUNT, "mod")
    await identities.create_user(user("bob"))
    assert told(await identities.apply(ACCOUNT, declared)) == ("create role mod",)
    await identities.delete_user(ACCOUNT, "bob")
    assert told(await identities.apply(ACCOUNT, declared)) == ()
    await identities.create_user(user("bob", id="AIDAsecond"))
    assert told(await identities.apply(ACCOUNT, declared)) == ()
    assert (await identities.get_role(ACCOUNT, "mod")).trusted == {user("bob").arn: "AIDAbob"}
    both = (user("bob").arn, user("carl").arn)
    await identities.create_user(user("carl"))
    changed = Declared(roles=(replace(trusting("mod", *both), trust_policy="[]"),))
    assert told(await identities.apply(ACCOUNT, changed)) == ("update role mod: trust",)
    assert (await identities.get_role(ACCOUNT, "mod")).trusted == {
        user("bob").arn: "AIDAbob",
        user("carl").arn: "AIDAcarl",
    }


async def test_declared_revocations_stay(store: Store) -> None:
    """What the file revokes stays revoked when the file no longer says so."""
    one = Declared(users=(user(revoked_before=5),), revoked_before=7)
    await store.identities.apply(ACCOUNT, Declared(users=(user(),)))
    assert told(await store.identities.apply(ACCOUNT, one)) == (
        "update user anna: revoke_sessions_before",
        f"revoke sessions of the root of account {ACCOUNT}",
    )
    assert told(await store.identities.apply(ACCOUNT, one)) == ()
    assert told(await store.identities.apply(ACCOUNT, Declared(users=(user(),)))) == ()
    assert (await store.identities.get_user(ACCOUNT, "anna")).revoked_before == 5


async def test_declared_suspension(store: Store) -> None:
    """An account is suspended and resumed as the file says, and left when it says nothing."""
    lines = [
        told(await store.identities.apply(ACCOUNT, Declared(suspended=suspended, now=3)))
        for suspended in (False, True, True, None, False)
    ]
    assert lines == [(), (f"suspend account {ACCOUNT}",), (), (), (f"resume account {ACCOUNT}",)]
    assert await store.identities.suspended_accounts() == frozenset()


async def test_a_role_becomes_what_the_file_says(store: Store) -> None:
    """Whom it trusts, what is said of it, and how long its sessions may be."""
    await store.identities.apply(ACCOUNT, Declared(roles=(role(),)))
    wanted = replace(role(), trust_policy="[]", description="d", max_session_seconds=7200)
    lines = told(await store.identities.apply(ACCOUNT, Declared(roles=(wanted,))))
    assert lines == ("update role mod: description, trust, max_session_seconds",)
    kept = await store.identities.get_role(ACCOUNT, "mod")
    assert (kept.trust_policy, kept.description, kept.max_session_seconds) == ("[]", "d", 7200)


async def test_a_policy_changes_more_often_than_it_has_versions(store: Store) -> None:
    """The oldest version makes room for the new one; all of them go with the policy."""
    for number in range(8):
        await store.identities.apply(ACCOUNT, Declared(policies=(policy(document=f"[{number}]"),)))
    kept = await store.identities.get_policy(ACCOUNT, policy().arn)
    assert [each.document for each in kept.versions] == [f"[{number}]" for number in range(3, 8)]
    assert kept.document == "[7]"
    assert (await store.identities.list_policies(ACCOUNT, 9)).values == (kept,)
    assert told(await store.identities.apply(ACCOUNT, Declared())) == ("delete policy chat",)
    with pytest.raises(NoSuchEntity):
        await store.identities.get_policy(ACCOUNT, policy().arn)


async def test_a_user_goes_with_all_keys(store: Store) -> None:
    """Also with those that were made otherwise: nobody is left whose keys they are."""
    await store.identities.apply(ACCOUNT, Declared(users=(user(),)))
    await store.identities.create_access_key(key())
    assert told(await store.identities.apply(ACCOUNT, Declared())) == (
        "delete access key AKIA1 of user anna",
        "delete user anna",
    )
    with pytest.raises(NoSuchEntity):
        await store.identities.find_access_key("AKIA1")


async def test_members_of_a_policy_change(store: Store) -> None:
    """Tags, description and the name's case are the file's; the document has no new version."""
    await store.identities.apply(ACCOUNT, Declared(policies=(policy(),)))
    changed = Declared(policies=(policy("CHAT", tags={"k": "v"}, description="d"),))
    assert told(await store.identities.apply(ACCOUNT, changed)) == (
        "delete policy chat",
        "create policy CHAT",
    )
    again = Declared(policies=(policy("CHAT", tags={"k": "w"}, description="e"),))
    assert told(await store.identities.apply(ACCOUNT, again)) == (
        "update policy CHAT: tags k, description",
    )
    assert await store.identities.apply(ACCOUNT, again) == ()
    kept = await store.identities.get_policy(ACCOUNT, policy("CHAT").arn)
    assert (kept.tags, kept.description, len(kept.versions)) == ({"k": "w"}, "e", 1)


MANY_TAGS = {f"k{number}": "" for number in range(51)}
LONG = {"p": "1" * (USER.inline_characters + 1)}


@pytest.mark.parametrize(
    "declared",
    [
        Declared(users=(user(tags=MANY_TAGS),)),
        Declared(users=(user(inline_policies=LONG),)),
        Declared(roles=(role(tags=MANY_TAGS),)),
        Declared(policies=(policy(tags=MANY_TAGS),)),
    ],
    ids=["tags of a user", "inline policies", "tags of a role", "tags of a policy"],
)
async def test_declared_ones_have_the_same_quotas(store: Store, declared: Declared) -> None:
    """What would be refused of a request is refused of the file, new or as a change."""
    for before in (Declared(), Declared(users=(user(),), roles=(role(),), policies=(policy(),))):
        await store.identities.apply(ACCOUNT, before)
        with pytest.raises(LimitExceeded):
            await store.identities.apply(ACCOUNT, declared)
        assert await store.identities.apply(ACCOUNT, before) == ()


async def test_what_was_made_otherwise_is_not_taken(store: Store) -> None:
    """A policy, a role or a key that a request made is refused by its name, and stays."""
    identities = store.identities
    await identities.create_user(user())
    await identities.create_role(role())
    await identities.create_policy(policy(tags={"k": "v"}))
    await identities.create_access_key(key())
    for declared, named in (
        (Declared(policies=(policy(),)), "policy chat exists"),
        (Declared(roles=(role(),)), "role mod exists"),
        (Declared(users=(user("ben"),), keys=(key("AKIA1", "ben"),)), "access key AKIA1 exists"),
    ):
        with pytest.raises(EntityAlreadyExists, match=named):
            await identities.apply(ACCOUNT, declared)
    assert (await identities.get_policy(ACCOUNT, policy().arn)).tags == {"k": "v"}
    assert (await identities.find_access_key("AKIA1")).user_name == "anna"


async def test_each_account_has_its_own_file(store: Store) -> None:
    """What another account's file declares is not dropped; its key ids are taken."""
    identities = store.identities
    other = Declared(users=(user(account=OTHER),), keys=(key(account=OTHER),))
    await identities.apply(OTHER, other)
    assert await identities.apply(ACCOUNT, Declared()) == ()
    assert await identities.apply(OTHER, other) == ()
    with pytest.raises(EntityAlreadyExists, match="access key AKIA1 exists"):
        await identities.apply(ACCOUNT, Declared(users=(user(),), keys=(key(),)))
    assert (await identities.find_access_key("AKIA1")).account == OTHER


async def test_a_key_that_is_declared_for_another_user(store: Store) -> None:
    """It is deleted and made anew; a name in another case is the same user's."""
    both = (user(), user("ben"))
    await store.identities.apply(ACCOUNT, Declared(users=both, keys=(key(),)))
    same = Declared(users=both, keys=(key("AKIA1", "ANNA"),))
    assert await store.identities.apply(ACCOUNT, same) == ()
    moved = Declared(users=both, keys=(key("AKIA1", "ben"),))
    assert told(await store.identities.apply(ACCOUNT, moved)) == (
        "delete access key AKIA1 of user anna",
        "create access key AKIA1 of user ben",
    )


NAMES = st.sampled_from(["a", "B", "c"])
ARNS = st.sampled_from([policy(name).arn for name in "aBc"])


@st.composite
def declarations(draw: st.DrawFn) -> Declared:
    """Draw a declaration that is whole: what it names, it declares."""
    documents = draw(st.dictionaries(NAMES, st.sampled_from(["{}", "[]"])))
    policies = tuple(
        policy(name, document, path=draw(st.sampled_from(["/", "/x/"])))
        for name, document in documents.items()
    )
    arns = [each.arn for each in policies]
    some = st.lists(st.sampled_from(arns), unique=True) if arns else st.just([])
    inline = st.dictionaries(st.sampled_from("ij"), st.sampled_from(["{}", "[]"]))

    def members() -> dict[str, Any]:
        return {
            "attached_policies": tuple(draw(some)),
            "inline_policies": draw(inline),
            "tags": draw(st.dictionaries(st.sampled_from("tu"), st.sampled_from("vw"))),
        }

    users = tuple(user(name, **members()) for name in draw(st.sets(NAMES)))
    roles = tuple(role(name, **members()) for name in draw(st.sets(NAMES)))
    owners = [each.name for each in users]
    keys: tuple[AccessKey, ...] = ()
    if owners:
        ids = draw(st.sets(st.sampled_from(["AKIA1", "AKIA2"])))
        keys = tuple(
            key(
                each,
                draw(st.sampled_from(owners)),
                status=draw(st.sampled_from(KeyStatus)),
                sealed_secret=draw(st.sampled_from([b"1", b"2"])),
            )
            for each in sorted(ids)
        )
    return Declared(users=users, roles=roles, policies=policies, keys=keys)


async def effect(store: Store) -> object:
    """Return what is in force, without ids, times, versions and the order of things."""
    identities = store.identities
    users = (await identities.list_users(ACCOUNT, 99)).values
    roles = (await identities.list_roles(ACCOUNT, 99)).values
    both: list[User | Role] = [*users, *roles]
    policies = (await identities.list_policies(ACCOUNT, 99)).values
    return (
        [(each.arn, each.tags, each.inline_policies, sorted(each.attached_policies), each.managed)
         for each in both],
        [(each.arn, each.document, each.attachments) for each in policies],
        sorted([
            (found.access_key_id, found.user_name, found.status, found.sealed_secret)
            for each in users
            for found in await identities.list_access_keys(ACCOUNT, each.name)
        ]),
    )  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=declarations(), second=declarations())
def test_only_the_last_declaration_counts(first: Declared, second: Declared) -> None:
    """Applying twice changes nothing; applying A, then B, is applying B."""

    async def check() -> None:
        one, other = MemoryStore(), MemoryStore()
        await one.identities.apply(ACCOUNT, first)
        await one.identities.apply(ACCOUNT, second)
        assert await one.identities.apply(ACCOUNT, second) == ()
        await other.identities.apply(ACCOUNT, second)
        assert await effect(one) == await effect(other)

    asyncio.run(check())


async def test_keys_of_others_stay_where_they_are(store: Store) -> None:
    """Neither those of another account nor those that nobody declared keep any other from going."""
    identities = store.identities
    theirs = Declared(
        users=(user(account=OTHER, id="AIDAother"),), keys=(key("AKIA0", account=OTHER),)
    )
    await identities.apply(OTHER, theirs)
    await identities.apply(ACCOUNT, Declared(users=(user(),), keys=(key("AKIA2"),)))
    await identities.create_access_key(key("AKIA1"))
    changes = await identities.apply(ACCOUNT, Declared(users=(user(),)))
    assert told(changes) == ("delete access key AKIA2 of user anna",)
    assert (await identities.find_access_key("AKIA0")).account == OTHER
    assert (await identities.find_access_key("AKIA1")).user_name == "anna"
