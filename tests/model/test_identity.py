"""The quotas of identities, as the IAM User Guide has them ("IAM and AWS STS quotas")."""

import pytest

from greenroom.model import identity
from greenroom.model.identity import IdentityKind, IdPrefix, unique_id


@pytest.mark.parametrize(
    ("kind", "inline_characters", "quota"),
    [(IdentityKind.USER, 2048, 5000), (IdentityKind.ROLE, 10_240, 1000)],
)
def test_quotas(kind: IdentityKind, inline_characters: int, quota: int) -> None:
    """Each kind has the real service's numbers."""
    assert (kind.inline_characters, kind.quota) == (inline_characters, quota)
    assert kind.name_length == 64


def test_quotas_of_policies() -> None:
    """So have managed policies."""
    assert (identity.POLICY_CHARACTERS, identity.POLICIES_PER_ACCOUNT) == (6144, 1500)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("a" * 64, True),
        ("a" * 65, False),
        ("", False),
        ("Az09_+=,.@-", True),
        ("a b", False),
        ("a\n", False),
        ("ä", False),
        ("a/b", False),
    ],
)
def test_names(name: str, good: bool) -> None:
    """A name has 1 to so many characters, of the documented ones."""
    assert identity.is_name(name, 64) is good


def test_ids_have_aws_forms() -> None:
    """Ids have AWS's prefixes and lengths."""
    assert len(unique_id(IdPrefix.ACCESS_KEY, bytes(11))) == 20
    assert unique_id(IdPrefix.USER, b"\xff" * 11) == "AIDA" + "7" * 17


def test_names_of_policies_are_longer() -> None:
    """Those have 128 characters."""
    assert identity.is_name("a" * 128)
    assert not identity.is_name("a" * 129)
