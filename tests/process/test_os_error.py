"""Failures of the operating system in words that an operator can use."""

import asyncio
import errno
import socket
import ssl

import pytest

from greenroom.process.os_error import in_words

REFUSED = "Connection refused"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 9)"), REFUSED),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 9, 0, 0),"
            " [Errno 111] Connect call failed ('127.0.0.1', 9)"), REFUSED),
        (OSError("Multiple exceptions: [Errno 111] Connect, [Errno 113] Connect"),
            f"{REFUSED}, No route to host"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "Name or service not known"),
        (socket.gaierror(), "the name is not known"),
        (TimeoutError(), "no answer in time"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "Connection timed out"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
            "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
        (ValueError("one\ntwo"), "one"),
        (EOFError(), "EOFError"),
    ],
)  # fmt: skip
def test_words(error: Exception, words: str) -> None:
    """They say what is wrong, once each, without a number."""
    assert in_words(error) == words


async def test_what_really_comes() -> None:
    """Nobody listens, and a name that is not one."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(OSError) as refused:  # noqa: PT011 - its words are looked at
            await asyncio.open_connection(*bound.getsockname())
    assert in_words(refused.value) == REFUSED
