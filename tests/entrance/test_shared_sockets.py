"""Listening sockets for several processes: their number, and who accepts from which."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from greenroom.entrance import shared_sockets
from greenroom.entrance.shared_sockets import bound_for, enough, shares
from greenroom.entrance.sockets import AddressRefused, Listening, bound


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """Give what closes sockets in the end."""
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize(
    ("sockets", "processes", "alive", "expected"),
    [
        # one each
        ("aa", 2, (1, 2), {1: {0}, 2: {1}}),
        # that of systemd is shared, and each of its addresses
        ("a", 3, (1, 2, 3), {1: {0}, 2: {0}, 3: {0}}),
        ("ab", 2, (1, 2), {1: {0, 1}, 2: {0, 1}}),
        # fewer or more than processes, after a takeover
        ("aa", 3, (1, 2, 3), {1: {0}, 2: {1}, 3: {0}}),
        ("aaa", 2, (1, 2), {1: {0, 2}, 2: {1}}),
        # those of dead ones are another one's
        ("aaa", 3, (1, 3), {1: {0}, 3: {1, 2}}),
        ("aaa", 3, (1, 2), {1: {0, 2}, 2: {1}}),
        ("aaa", 3, (2,), {2: {0, 1, 2}}),
        ("a", 2, (2,), {2: {0}}),
        ("aa", 2, (), {}),
    ],
)
def test_who_accepts_from_which(
    sockets: str, processes: int, alive: tuple[int, ...], expected: dict[int, set[int]]
) -> None:
    """Each socket has somebody, and every process has one."""
    assert shares(list(sockets), processes, alive) == expected


def test_one_for_each(closing: ExitStack) -> None:
    """All on one port; the kernel spreads connections over them."""
    found = [closing.enter_context(each) for each in bound_for("127.0.0.1", 0, 3)]
    (address,) = {each.getsockname() for each in found}
    for _ in range(60):
        closing.enter_context(socket.create_connection(address))
    for each in found:
        each.settimeout(5)
        closing.enter_context(each.accept()[0])


@pytest.mark.parametrize("processes", [1, 2])
def test_a_port_that_is_taken(closing: ExitStack, processes: int) -> None:
    """It is refused, also where others share it: it would get a part of their connections."""
    for number in (1, 2):
        taken = [closing.enter_context(each) for each in bound_for("127.0.0.1", 0, number)]
        with pytest.raises(AddressRefused, match="cannot listen on"):
            bound_for("127.0.0.1", taken[0].getsockname()[1], processes)


def test_what_was_bound_is_let_go(closing: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the next one is refused; those that were there before are not touched."""
    made: list[socket.socket] = []

    def refused_at_last(host: str, port: int, *, shared: bool) -> socket.socket:
        if len(made) == 2:
            raise AddressRefused("no more")
        made.append(closing.enter_context(bound(host, port, shared=shared)))
        return made[-1]

    (first,) = bound_for("127.0.0.1", 0, 1)
    closing.enter_context(first)
    monkeypatch.setattr(shared_sockets, "bound", refused_at_last)
    with pytest.raises(AddressRefused, match="no more"):
        shared_sockets._more([first], "127.0.0.1", 0, 4)
    assert [each.fileno() >= 0 for each in (first, *made)] == [True, False, False]


@pytest.mark.parametrize(
    ("number", "processes", "by_systemd", "then"),
    [(2, 3, False, 3), (3, 2, False, 3), (1, 2, False, 1), (2, 3, True, 2)],
)
def test_those_that_were_received(
    closing: ExitStack, number: int, processes: int, by_systemd: bool, then: int
) -> None:
    """There are more where each process may have its own; those of systemd are what they are."""
    received = bound_for("127.0.0.1", 0, number)
    found = enough(Listening(received, by_systemd), processes)
    closing.callback(found.close)
    assert (len(found.sockets), found.sockets[:number]) == (then, received)
    assert len({each.getsockname() for each in found.sockets}) == 1
    assert found.hosts == ["127.0.0.1"]


def test_those_of_several_addresses(closing: ExitStack) -> None:
    """They are shared as they are."""
    received = [bound("127.0.0.1", 0, shared=True), bound("127.0.0.1", 0, shared=True)]
    found = enough(Listening(received), 3)
    closing.callback(found.close)
    assert found.sockets == received


def test_those_of_others_are_closed_too() -> None:
    """A port on which nobody accepts any more must refuse."""
    own, other = bound_for("127.0.0.1", 0, 2)
    Listening([own], others=[other]).close()
    assert (own.fileno(), other.fileno()) == (-1, -1)
