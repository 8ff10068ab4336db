"""Attributes of tokens that are for the service alone: which there are, and what they may be."""

import pytest

from greenroom.model import token_attributes
from greenroom.model.chat_token import OWN_CAPABILITIES, Capability
from greenroom.model.token_attributes import ATTRIBUTES, capabilities, errors, problem, split

GOOD = {
    "capabilities": ["MODERATE", "greenroom:HOST, REACT", ""],
    "history": ["0", "50", "200", "007"],
    "since": ["M2YcHkgffEvU"],
    "events": ["on", "off"],
    "roles": ["", "subscriber", "subscriber, vip", "a" * 64],
    "following-since": ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00+02:00"],
    "account-since": ["2026-01-31T12:00:00.5Z"],
}

BAD = {
    "capabilities": ["SEND_MESSAGE", "MODERATE;HOST", "moderate"],
    "history": ["201", "-1", "", "5.0", "9" * 400, "\u0665"],
    "since": ["", "short", "M2YcHkgffEvU!", "M2YcHkgffEv\u00fc"],
    "events": ["", "ON", "1"],
    "roles": ["a" * 65, "a b", "\u00fc", ",".join(str(n) for n in range(21))],
    "following-since": ["", "2026-02-30", "2026-02-01T12:00:00", "yesterday"],
    "account-since": ["2026-13-31T12:00:00Z"],
}


def test_every_attribute_is_tried() -> None:
    """The lists above have all that there are."""
    assert GOOD.keys() == BAD.keys() == ATTRIBUTES.keys()


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, each in GOOD.items() for v in each])
def test_what_may_be_said(name: str, value: str) -> None:
    """Each value of the right form is taken."""
    assert problem(name, value) is None


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, each in BAD.items() for v in each])
def test_what_may_not_be_said(name: str, value: str) -> None:
    """Each other one is refused with the name and the rule, never with the value."""
    (error,) = errors({name: value})
    assert error.name == f"attributes.greenroom:{name}"
    assert error.message.startswith("must be ")
    assert len(value) < 5 or value not in error.message


def test_an_unknown_one_is_refused() -> None:
    """A slip of the pen is not kept and ignored; the message names those that there are."""
    (error,) = errors({"role": "vip"})
    assert error.name == "attributes.greenroom:role"
    assert "greenroom:roles" in error.message


def test_they_are_taken_out() -> None:
    """What everybody sees has none of them; attributes without any are left alone."""
    given = {"name": "Ann", "greenroom:roles": "vip", "Greenroom:x": "kept"}
    assert split(given) == ({"name": "Ann", "Greenroom:x": "kept"}, {"roles": "vip"})
    plain = {"name": "Ann"}
    assert split(plain)[0] is plain


def test_capabilities_by_attribute() -> None:
    """Each of ours can be given, with or without the prefix."""
    text = ",".join(each.value for each in OWN_CAPABILITIES)
    assert capabilities({"capabilities": text}) == OWN_CAPABILITIES
    assert capabilities({"capabilities": "MODERATE"}) == (Capability.MODERATE,)
    assert capabilities({}) == ()
    assert token_attributes.SERVICE_USER == "greenroom"
