"""The pool of connections to endpoints: what a failed request is called."""

import asyncio
import socket
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock

import pytest
from aiohttp import web

from greenroom.model.room import FallbackResult
from greenroom.review import client as client_module
from greenroom.review.answers import ANSWER_BYTES
from greenroom.review.base import Denied
from greenroom.review.client import Client
from greenroom.review.http import HttpTarget
from greenroom.review.reviewer import HandlerReviewer, ReviewLimits
from greenroom.review.target import Failure, InvocationFailed
from greenroom.telemetry.metrics import Metrics
from tests.review.test_answers import SUBMISSION
from tests.review.test_http import serving, target
from tests.review.test_reviewer import OneTarget, room_of
from tests.stand_ins.stage import settle


async def test_no_request_is_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes longer than any handler may is a failure by that name, and a review of it too.

    Were it none at all, the reviewer would count the handler as one that is never asked.
    """
    monkeypatch.setattr(client_module, "LONGEST_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        async with target(f"http://127.0.0.1:{port}/") as made:
            await check_time_limit(made)


async def check_time_limit(made: HttpTarget) -> None:
    """See a request to an endpoint that never answers fail, and a review with it."""
    with pytest.raises(InvocationFailed) as failed:
        await made.invoke("uri", b"{}")
    assert failed.value.failure is Failure.TIMED_OUT
    metrics = Metrics()
    reviewer = HandlerReviewer(OneTarget(made), ReviewLimits(seconds=None), metrics)
    assert await reviewer.review(room_of(FallbackResult.DENY), SUBMISSION) == Denied(None)
    count = metrics.registry.get_sample_value
    assert count("greenroom_review_seconds_count", {"outcome": "timed_out"}) == 1
    assert not count("greenroom_review_seconds_count", {"outcome": "not_asked"})


def posting(monkeypatch: pytest.MonkeyPatch, *outcomes: Exception | asyncio.Event) -> list[str]:
    """Have requests on kept connections end so, one after the other; return who was asked."""
    asked: list[str] = []
    left = list(outcomes)

    async def post(session: Any, url: str, body: bytes, headers: Any, progress: Any) -> None:
        asked.append(url)
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            progress.is_connected = progress.is_reused = True
            raise outcome
        await outcome.wait()

    monkeypatch.setattr(client_module, "_post", post)
    return asked


async def test_what_took_too_long_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that is slow has the message already, on a kept connection, too."""
    asked = posting(monkeypatch, TimeoutError(), TimeoutError())
    client = Client()
    with pytest.raises(InvocationFailed) as failed:
        await client.post("http://127.0.0.1:1/", b"{}", {})
    await client.close()
    assert failed.value.failure is Failure.TIMED_OUT
    assert len(asked) == 1


async def test_who_gives_up_while_a_dead_connection_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It leaves one to the next request, like anybody who gives up before a connection stands."""
    asked = posting(monkeypatch, ConnectionResetError(), asyncio.Event())
    client = Client()
    asking = asyncio.create_task(client.post("http://127.0.0.1:1/", b"{}", {}))
    await settle()
    assert len(asked) == 2
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert client._connecting is not None
    await client.close()


async def test_an_unreachable_endpoint_is_named() -> None:
    """The failure says what the system said, and nothing of the request."""
    client = Client()
    with pytest.raises(InvocationFailed) as failed:
        await client.post("http://127.0.0.1:1/secret", b"secret", {})
    await client.close()
    assert failed.value.failure is Failure.UNREACHABLE
    assert "secret" not in failed.value.why
    kind, _, reason = failed.value.why.partition(": ")
    assert kind == "ClientConnectorError"
    assert reason
    assert client_module._named(ConnectionResetError(104, "reset")) == "ConnectionResetError: reset"
    assert client_module._named(ValueError("secret")) == "ValueError"


async def test_connecting_follows_nothing() -> None:
    """A connection that is opened for later goes to the endpoint, and nowhere that it says."""
    requests: list[str] = []

    async def elsewhere(request: web.BaseRequest) -> web.StreamResponse:
        requests.append("elsewhere")
        return web.Response()

    async with serving(elsewhere) as other:

        async def moved(request: web.BaseRequest) -> web.StreamResponse:
            requests.append(f"{request.method} {request.raw_path}")
            location = f"http://127.0.0.1:{other}/"
            return web.Response(status=302, headers={"Location": location})

        client = Client()
        async with serving(moved) as port:
            session = client._session = client._opened(keep=True)
            client._connect(session, f"http://127.0.0.1:{port}/a%2Fb?c=d%20e")
            assert client._connecting is not None
            await client._connecting
            await client.close()
    assert requests == ["HEAD /a%2Fb?c=d%20e"]


class Content:
    """An answer that arrives in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    async def read(self, most: int) -> bytes:
        """Return the next piece, which is not longer than was asked for."""
        piece = self._pieces.pop(0) if self._pieces else b""
        assert len(piece) <= most
        return piece


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ((), 0),
        ((5, 7), 12),
        ((ANSWER_BYTES,), ANSWER_BYTES),
        ((ANSWER_BYTES, 1), ANSWER_BYTES + 1),
        ((ANSWER_BYTES + 1,), ANSWER_BYTES + 1),
        ((1, ANSWER_BYTES), ANSWER_BYTES + 1),
    ],
)
async def test_an_answer_is_cut_behind_the_bound(sizes: tuple[int, ...], kept: int) -> None:
    """However it arrives, one that is too large is seen to be, and no more of it is kept."""
    content: Any = Content(*map(bytes, sizes), *[b"x"] * (kept > ANSWER_BYTES))
    assert len(await client_module._bounded(content)) == kept


@pytest.mark.parametrize(("more", "closed"), [(0, False), (1, True), (100, True)])
async def test_what_is_too_long_is_not_read(more: int, closed: bool) -> None:
    """Its connection is closed; one that is as long as it may be is used again."""
    content = asyncio.StreamReader()
    content.feed_data(b"x" * (ANSWER_BYTES + more))
    content.feed_eof()
    response = MagicMock(status=200, headers={"A-Name": "b"}, content=content)
    session = MagicMock()
    session.post.return_value.__aenter__.return_value = response
    progress: Any = Mock()
    answer = await client_module._post(session, "http://here/", b"{}", {}, progress)
    assert (answer.status, answer.headers) == (200, {"a-name": "b"})
    assert len(answer.body) == ANSWER_BYTES + min(more, 1)
    assert response.close.called is closed
    assert progress.is_answered is True, "who was answered is not asked again"


async def test_no_more_is_read_than_is_looked_at() -> None:
    """However little comes at a time: one byte beyond the bound at most."""
    content = Mock(read=AsyncMock(side_effect=[b"x" * 10, b"y" * 90, b""]))
    assert await client_module._bounded(content) == b"x" * 10 + b"y" * 90
    asked = [each.args[0] for each in content.read.mock_calls]
    assert asked == [ANSWER_BYTES + 1, ANSWER_BYTES - 9, ANSWER_BYTES - 99]
