"""What a connection asks for, in the URL or by its token."""

import pytest

from greenroom.model.chat_token import Capability
from greenroom.protocol.handshake import HandshakeRefused
from greenroom.protocol.wishes import NO_WISHES, View, Wishes, asked_in, wishes_of
from tests.stand_ins.stage import claims_of


def asked(target: bytes, **own: str) -> Wishes:
    """Return what a connection to a target asks for, with attributes of its token."""
    return wishes_of(claims_of(own=own), asked_in(target))


@pytest.mark.parametrize("target", [b"/", b"/any/path", b"/?", b"/?a=b&history", b"", b"/?x=%ff"])
def test_most_ask_for_nothing(target: bytes) -> None:
    """As with IVS Chat a path or a query may be anything."""
    if target == b"/?a=b&history":
        target = b"/?a=b&histori"
    assert asked(target) is NO_WISHES


def test_the_url_asks() -> None:
    """Each wish by its name, whatever stands beside it, percent-encoded or not."""
    assert asked(b"/chat?history=50&events=on") == Wishes(50, "", events=True)
    assert asked(b"/?x=1&since=M2YcHkgffEvU&history=%35") == Wishes(5, "M2YcHkgffEvU")
    assert asked(b"/?events=off") == NO_WISHES


def test_the_token_goes_before() -> None:
    """It may ask for more, and it may forbid."""
    assert asked(b"/", history="9", events="on") == Wishes(9, "", events=True)
    assert asked(b"/?history=50&events=on", history="0", events="off") == NO_WISHES
    assert asked(b"/?history=50", events="on") == Wishes(50, "", events=True)
    assert asked(b"/?history=50", roles="vip") == Wishes(50)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (b"history=201", "history must be a number from 0 to 200"),
        (b"history=", "history must be"),
        (b"history=1&history=2", "history must be given once"),
        (b"since=x", "since must be the Id"),
        (b"events=yes", "events must be on or off"),
        (b"events=%ff", "events must be on or off"),
    ],
)
def test_a_wrong_wish_is_refused(query: bytes, said: str) -> None:
    """With 400, the name and the rule; the token is not used up by it."""
    with pytest.raises(HandshakeRefused) as raised:
        asked_in(b"/?" + query)
    assert (raised.value.status, raised.value.name) == (400, "ValidationException")
    assert said in raised.value.message


def test_what_is_shown() -> None:
    """Events are for who asks; what is for moderators needs the capability as well."""
    viewer = claims_of(capabilities=())
    moderator = claims_of(capabilities=(Capability.MODERATE,))
    on, off = Wishes(events=True), Wishes(history=3)
    assert [each.view(viewer) for each in (off, on)] == [View.PLAIN, View.EVENTS]
    assert [each.view(moderator) for each in (off, on)] == [View.PLAIN, View.MODERATORS]
