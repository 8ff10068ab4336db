"""Restrictions and notes: the kinds that there are."""

from greenroom.model.restriction import Kind


def test_what_each_kind_means() -> None:
    """Each has words of its own, for people."""
    meanings = [each.meaning for each in Kind]
    assert len(set(filter(None, meanings))) == len(Kind)
