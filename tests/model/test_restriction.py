"""Restrictions and notes: the kinds that there are, and what holds when."""

from typing import Any

import pytest

from greenroom.model.restriction import ROLES, Kind, Restriction, iso

NOW = 1_700_000_000_000


def entry(kind: Kind = Kind.MUTE, **members: Any) -> Restriction:
    """Return an entry of an account."""
    given = {"account": "1" * 12, "scope": "room", "user_id": "bob", "by": "ann", "at": NOW}
    return Restriction(kind=kind, **{**given, **members})


def test_what_each_kind_means() -> None:
    """Each has words of its own, for people."""
    meanings = [each.meaning for each in Kind]
    assert len(set(filter(None, meanings))) == len(Kind)


ROLES_OF: dict[str, Any] = {"roles": ("vip",)}
LIFTED: dict[str, Any] = {"lifted": True}


@pytest.mark.parametrize(
    ("given", "listed", "replaces", "limited", "restricts"),
    [
        (entry(Kind.BAN), "BAN", True, True, True),
        (entry(Kind.BAN, **LIFTED), "BAN", True, False, False),
        (entry(Kind.NOTE), "NOTE", False, False, False),
        (entry(Kind.NOTE, **LIFTED), "NOTE", False, False, False),
        (entry(Kind.NOTE, **ROLES_OF), ROLES, True, True, False),
        (entry(Kind.NOTE, roles=()), ROLES, True, True, False),
    ],
)
def test_what_an_entry_is(
    given: Restriction, listed: str, replaces: bool, limited: bool, restricts: bool
) -> None:
    """A restriction, the end of one, a note, or roles: each counts in its own way."""
    assert given.key == ("room", "bob", listed)
    assert (given.replaces, given.is_limited, given.restricts) == (replaces, limited, restricts)
    assert not given.is_of_account
    assert entry(scope="1" * 12).is_of_account


@pytest.mark.parametrize(
    ("given", "ends", "later"),
    [
        (entry(), None, True),
        (entry(expires=NOW + 1), NOW + 1, False),
        (entry(expires=NOW + 1, **LIFTED), NOW, False),
        (entry(**LIFTED), NOW, False),
        (entry(Kind.NOTE), None, False),
    ],
)
def test_how_long_it_holds(given: Restriction, ends: int | None, later: bool) -> None:
    """To its very millisecond, or for ever; what ends another one holds at no time."""
    assert (given.ends == ends) is (ends is not None)
    assert given.ends > NOW + 10**15 or ends is not None
    assert given.holds(NOW) is (given.restricts and not given.lifted)
    assert given.holds(NOW + 1) is later
    assert given.counts(NOW + 1) is later
    assert entry(expires=NOW + 1500).until() == "2023-11-14T22:13:22Z"
    assert entry().until() == ""


def test_addresses_have_ends_of_their_own() -> None:
    """What is lifted in a room holds of them on, until the last of them is over."""
    lifted = entry(addresses={"a": NOW + 1, "b": NOW + 2}, **LIFTED)
    assert lifted.at_time(NOW) is lifted
    for passed, left in ((0, ["a", "b"]), (1, ["b"]), (2, [])):
        assert list(lifted.addresses_at(NOW + passed)) == left
        assert list(lifted.at_time(NOW + passed).addresses) == left
        assert lifted.counts(NOW + passed) is bool(left)
    assert entry(addresses={"a": NOW}).counts(NOW), "of the user it holds"


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (NOW, "2023-11-14T22:13:20Z"),
        (NOW + 1, "2023-11-14T22:13:21Z"),
        (NOW + 1000, "2023-11-14T22:13:21Z"),
        (4_102_444_800_000, "2100-01-01T00:00:00Z"),
    ],
)
def test_times_are_told_to_the_second_above(milliseconds: int, said: str) -> None:
    """So nobody who waits until then comes too early."""
    assert iso(milliseconds) == said
