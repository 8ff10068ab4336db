"""Every `Restrictions`: versions, what counts, what is history, and when it goes.

Covers: greenroom.model.restriction, greenroom.storage.memory.restrictions,
    greenroom.storage.postgres.restrictions, greenroom.storage.restrictions,
    greenroom.storage.sqlite.restrictions
"""

import asyncio
from typing import Any

import pytest

from greenroom.model.errors import ServiceQuotaExceededException
from greenroom.model.restriction import FOR_EVER, KEPT_MS, ROLES_MS, Kind, Restriction
from greenroom.storage.base import Store
from tests.stand_ins.values import NOW, PLENTY, new_account


def entry(account: str, user: str = "bob", kind: Kind = Kind.MUTE, **members: Any) -> Restriction:
    """Return an entry for a whole account, without a version."""
    members = {"scope": account, "by": "ann", "at": NOW, **members}
    return Restriction(account=account, user_id=user, kind=kind, **members)


async def test_versions_rise_by_one(store: Store) -> None:
    """In each account, whoever adds at the same time; none is lost and none comes twice."""
    account, other = new_account(), new_account()
    added = await asyncio.gather(
        *(store.restrictions.add(entry(account, f"u{n}"), PLENTY) for n in range(20)),
        store.restrictions.add(entry(other), PLENTY),
    )
    assert [each.version for each in added] == [*range(1, 21), 1]
    assert list(await store.restrictions.since(account, 17)) == added[17:20]
    assert await store.restrictions.accounts() >= {account, other}


async def test_the_latest_counts(store: Store) -> None:
    """An entry replaces that of its scope, user and kind; a user's history has all of them."""
    account = new_account()
    add = store.restrictions.add
    first = await add(entry(account, reason="x"), PLENTY)
    ban = await add(entry(account, kind=Kind.BAN, expires=NOW + 5), PLENTY)
    note = await add(entry(account, kind=Kind.NOTE, reason="he knows"), PLENTY)
    lift = await add(entry(account, lifted=True), PLENTY)
    elsewhere = await add(entry(account, scope="room"), PLENTY)
    assert list(await store.restrictions.since(account, 0)) == [ban, lift, elsewhere]
    page = store.restrictions.page
    everything = [elsewhere, lift, note, ban, first]
    assert list(await page(account, "", "bob", 0, 9)) == everything
    assert list(await page(account, "", "bob", lift.version, 2)) == [note, ban]
    assert list(await page(account, "", "bob", 10**17, 9)) == everything
    assert list(await page(account, account, "", 0, 9)) == [lift, ban]
    assert list(await page(account, "room", "", 0, 9)) == [elsewhere]
    assert list(await page(account, "", "eve", 0, 9)) == []


async def test_addresses_are_kept(store: Store) -> None:
    """With their ends, and beside entries that hold of none."""
    account, addresses = new_account(), {"aa": NOW + 5, "bb": NOW + 7}
    ban = await store.restrictions.add(entry(account, addresses=addresses), PLENTY)
    plain = await store.restrictions.add(entry(account, "eve"), PLENTY)
    found = list(await store.restrictions.since(account, 0))
    assert found == [ban, plain]
    assert [each.addresses for each in found] == [addresses, {}]


async def test_there_are_at_most_so_many(store: Store) -> None:
    """Replacing, lifting and notes are no more; what is over does not count."""
    account, add = new_account(), store.restrictions.add
    await add(entry(account, "a"), 2)
    await add(entry(account, "b", expires=NOW + 5), 2)
    with pytest.raises(ServiceQuotaExceededException):
        await add(entry(account, "c"), 2)
    await add(entry(account, "a", reason="again"), 2)
    await add(entry(account, "c", kind=Kind.NOTE), 2)
    await add(entry(account, "c", at=NOW + 5), 2)
    await add(entry(account, "a", lifted=True, at=NOW + 6), 2)
    await add(entry(account, "d", at=NOW + 7), 2)


def said(account: str, user: str, *roles: str, **members: Any) -> Restriction:
    """Return an entry that says roles."""
    members = {"expires": NOW + ROLES_MS, "roles": roles, **members}
    return entry(account, user, Kind.NOTE, **members)


async def test_what_says_roles(store: Store) -> None:
    """The latest counts, beside notes; it is history, no restriction, and gone when it is over."""
    account, add = new_account(), store.restrictions.add
    await add(said(account, "bob", "vip"), 1)
    note = await add(entry(account, kind=Kind.NOTE), 1)
    ban = await add(entry(account, "eve"), 1)
    mod = await add(said(account, "bob", "vip", "mod", at=NOW + 1), 1)
    none = await add(said(account, "ann"), 2)
    assert list(await store.restrictions.since(account, 0)) == [ban, mod, none]
    assert [mod.roles, none.roles] == [("vip", "mod"), ()]
    assert list(await store.restrictions.page(account, "", "", 0, 9)) == [ban]
    assert (await store.restrictions.page(account, "", "bob", 0, 9))[:2] == [mod, note]
    with pytest.raises(ServiceQuotaExceededException, match="2 users with roles"):
        await add(said(account, "zoe"), 2)
    with pytest.raises(ServiceQuotaExceededException, match="1 restrictions of users"):
        await add(entry(account, "zoe"), 1)
    await add(said(account, "zoe", at=NOW + ROLES_MS), 2)
    last = await add(entry(account, "last"), 2)
    # Restrictions stay for longer: what is over since yesterday is not pruned with them.
    await store.restrictions.prune(NOW + ROLES_MS + 1 - KEPT_MS)
    assert list(await store.restrictions.page(account, "", "bob", 0, 9)) == [note]
    assert list(await store.restrictions.page(account, "", "ann", 0, 9)) == []
    assert list(await store.restrictions.page(account, "", "", 0, 9)) == [last, ban]


async def test_what_is_over_goes(store: Store) -> None:
    """What was replaced, lifted or expired before that time; never the newest, nor a note."""
    account, add = new_account(), store.restrictions.add
    await add(entry(account, "replaced"), PLENTY)
    kept = [
        await add(entry(account, "replaced", at=NOW + 2), PLENTY),
        await add(entry(account, "noted", kind=Kind.NOTE), PLENTY),
        await add(entry(account, "just over", expires=NOW + 3), PLENTY),
    ]
    await add(entry(account, "expired", expires=NOW + 1), PLENTY)
    await add(entry(account, "lifted", lifted=True), PLENTY)
    newest = await add(entry(account, "newest", lifted=True), PLENTY)
    await store.restrictions.prune(NOW + 3)
    found = [
        each
        for user in ("replaced", "noted", "just over", "expired", "lifted", "newest")
        for each in await store.restrictions.page(account, "", user, 0, 9)
    ]
    assert found == [*kept, newest]
    assert (await add(entry(account), PLENTY)).version == newest.version + 1


def test_when_it_holds() -> None:
    """Until the millisecond at which it expires; a lift and a note hold nothing."""
    timed = entry("a", expires=NOW + 5)
    assert [timed.holds(NOW + each) for each in (0, 4, 5)] == [True, True, False]
    assert entry("a").holds(FOR_EVER - 1)
    assert not entry("a", lifted=True).holds(NOW)
    assert not entry("a", kind=Kind.NOTE).holds(NOW)
    assert (timed.until(), entry("a").until()) == ("2023-11-14T22:13:21Z", "")
