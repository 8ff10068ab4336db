"""One connection: what its token allows, how often, and which refusal comes first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.protocol.actions import DeleteMessage, DisconnectUser, SendMessage
from greenroom.protocol.errors import ActionError
from greenroom.protocol.session import Session

START = 1_700_000_000.0
SEND = b'{"Action":"SEND_MESSAGE","Content":"hi","RequestId":"r"}'
DELETE = b'{"Action":"DELETE_MESSAGE","Id":"M2YcHkgffEvU","RequestId":"r"}'
DISCONNECT = b'{"Action":"DISCONNECT_USER","UserId":"u","RequestId":"r"}'
MALFORMED = b'{"Action":"SEND_MESSAGE","RequestId":"r"}'
TOO_LARGE = b'{"Action":"DELETE_MESSAGE","Id":"M2YcHkgffEvU","RequestId":"r","Reason":"%b"}' % (
    b"x" * 257
)

LIST = b'{"Action":"greenroom:LIST_MESSAGES","RequestId":"r"}'


def session(*capabilities: Capability, rate: float = 10, seconds: float = 3600) -> Session:
    """Return a session that begins at START."""
    claims = ChatTokenClaims("t", "arn", "u", capabilities, {}, 0, int((START + seconds) * 1000))
    return Session(claims, rate, START)


def refused(one: Session, text: bytes, now: float) -> ActionError:
    """Return the refusal."""
    with pytest.raises(ActionError) as raised:
        one.receive(text, now)
    return raised.value


def test_allowed_actions() -> None:
    """Each capability allows its action."""
    one = session(*Capability)
    assert one.receive(SEND, START) == SendMessage("hi", None, "r")
    assert one.receive(DELETE, START) == DeleteMessage("M2YcHkgffEvU", None, "r")
    assert one.receive(DISCONNECT, START) == DisconnectUser("u", None, "r")


@pytest.mark.parametrize("held", [(), *((capability,) for capability in Capability)])
def test_capabilities(held: tuple[Capability, ...]) -> None:
    """Without the capability an action is refused with 403, and the text says Forbidden."""
    for text, needed in (
        (SEND, Capability.SEND_MESSAGE),
        (DELETE, Capability.DELETE_MESSAGE),
        (DISCONNECT, Capability.DISCONNECT_USER),
    ):
        one = session(*held)
        if needed in held:
            one.receive(text, START)
            continue
        error = refused(one, text, START)
        assert (error.code, error.request_id) == (403, "r")
        assert "Forbidden" in error.message
        assert needed.value in error.message


def test_rate() -> None:
    """Over the rate an action is refused with the text that clients compare."""
    one = session(Capability.SEND_MESSAGE, rate=2)
    one.receive(SEND, START)
    one.receive(SEND, START)
    error = refused(one, SEND, START)
    assert (error.code, error.message, error.request_id) == (429, "rate limit exceeded", "r")
    one.receive(SEND, START + 0.5)


@pytest.mark.parametrize("text", [b"not JSON", MALFORMED, TOO_LARGE, DELETE])
def test_refused_actions_count(text: bytes) -> None:
    """Malformed, too large and forbidden actions use up the rate, so that nothing can flood."""
    one = session(Capability.SEND_MESSAGE, rate=2)
    assert {refused(one, text, START).code for _ in range(2)} <= {400, 413, 403}
    assert refused(one, SEND, START).code == 429
    assert refused(one, text, START).code == 429


def test_expiry() -> None:
    """A session ends at its time to the millisecond, with a 401 that says expired."""
    one = session(Capability.SEND_MESSAGE, seconds=60)
    assert not one.expired(START + 59.999)
    one.receive(SEND, START + 59.999)
    assert one.expired(START + 60)
    error = refused(one, SEND, START + 60)
    assert (error.code, error.request_id) == (401, "r")
    assert "expired" in error.message


@pytest.mark.parametrize(
    ("text", "rate", "now", "code"),
    [
        (MALFORMED, 1, START + 3600, 401),
        (DELETE, 1, START + 3600, 401),
        (MALFORMED, 1, START, 429),
        (TOO_LARGE, 1, START, 429),
        (DELETE, 1, START, 429),
        (MALFORMED, 10, START, 400),
        (TOO_LARGE, 10, START, 413),
        (DELETE, 10, START, 403),
    ],
)
def test_order_of_checks(text: bytes, rate: float, now: float, code: int) -> None:
    """Expiry comes before the rate, the rate before the form, the form before the capability."""
    one = session(Capability.SEND_MESSAGE, rate=rate)
    one.receive(SEND, now if now == START else START + 3599)
    error = refused(one, text, now)
    assert (error.code, error.request_id) == (code, "r")


def test_expired_and_over_the_rate() -> None:
    """An expired session answers 401 however much is sent."""
    one = session(rate=1, seconds=0)
    assert [refused(one, SEND, START).code for _ in range(5)] == [401] * 5


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=80) | st.sampled_from([SEND, DELETE, MALFORMED]), max_size=30))
def test_only_action_errors(texts: list[bytes]) -> None:
    """Whatever is received, it is an action or an ActionError, and at most the rate passes."""
    one = session(Capability.SEND_MESSAGE, rate=5)
    passed = 0
    for text in texts:
        try:
            one.receive(text, START)
        except ActionError:
            continue
        passed += 1
    assert passed <= 5


def test_what_costs_several() -> None:
    """It is done where one is left, at any rate, and what it costs beyond that is owed."""
    for rate, at_once in ((10, 4), (6, 2), (3, 1), (1, 1)):
        one = session(rate=rate)
        for _ in range(at_once):
            one.receive(LIST, START)
        assert refused(one, LIST, START).code == 429
    slow = session(rate=1)
    slow.receive(LIST, START)
    assert refused(slow, LIST, START + 2.9).code == 429
    slow.receive(LIST, START + 3.1)
    for _ in range(100):
        session(rate=0).receive(LIST, START)
