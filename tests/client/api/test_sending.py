"""Why no answer came, as its caller is told.

`tests/client/test_ivschat.py` sends to a server that does what the test says.
"""

from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest

from greenroom.client.api.errors import NetworkingError, TimeoutExceeded
from greenroom.client.api.sending import Sender

UNKNOWN_HOST = (
    "Inaccessible host: `somewhere' at port `443'."
    " This service may not be available in the `eu-west-1' region."
)

HERE: Any = Mock(host="somewhere", port=443)


def failed(error: Exception) -> NetworkingError:
    """Return what a failure is told as."""
    sender: Any = Mock(_settings=Mock(http=Mock(timeout=120_000.0)), _region="eu-west-1")
    return Sender._failure(sender, error, Mock(host="somewhere"))


@pytest.mark.parametrize(
    ("error", "kind", "code", "message"),
    [
        (
            aiohttp.ConnectionTimeoutError(),
            TimeoutExceeded,
            "TimeoutError",
            "Socket timed out without establishing a connection",
        ),
        (TimeoutError(), TimeoutExceeded, "TimeoutError", "Connection timed out after 120000ms"),
        (
            aiohttp.ServerDisconnectedError(),
            TimeoutExceeded,
            "TimeoutError",
            "socket hang up",
        ),
        (
            aiohttp.ClientConnectorDNSError(HERE, OSError()),
            NetworkingError,
            "UnknownEndpoint",
            UNKNOWN_HOST,
        ),
        (OSError(), NetworkingError, "NetworkingError", "no answer from somewhere: OSError"),
    ],
)
def test_each_may_pass(
    error: Exception, kind: type[NetworkingError], code: str, message: str
) -> None:
    """It is tried again; code and sentence are those of the SDK for JavaScript."""
    told = failed(error)
    assert (type(told), told.code, told.message) == (kind, code, message)
    assert told.retryable
