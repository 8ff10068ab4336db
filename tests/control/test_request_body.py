"""The bodies of requests: what is kept of them while they come, and what is refused."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.control.request_body import FREE_BYTES, Bodies, TooManyBodies
from greenroom.model.errors import RequestEntityTooLargeException, ValidationException
from tests.stand_ins.stage import settle

CHUNK = b"x" * FREE_BYTES


def arriving(*parts: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Return what receives a body in parts."""
    waiting = list(parts)

    async def receive() -> dict[str, Any]:
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    return receive


@given(st.lists(st.binary(max_size=50), min_size=1))
def test_a_body_is_its_parts(parts: list[bytes]) -> None:
    """Whatever the parts, the body is all of them, and nothing is held afterwards."""
    bodies = Bodies(1)
    assert asyncio.run(bodies.read(arriving(*parts))) == b"".join(parts)
    assert bodies.held == 0


@pytest.mark.parametrize("parts", [[b"xxx"], [b"xx", b"y"], [b"xxx", b""]])
async def test_a_body_of_exactly_the_bound(parts: list[bytes]) -> None:
    """It is whole."""
    assert await Bodies().read(arriving(*parts), 3) == b"".join(parts)


async def test_a_refused_body_is_not_kept_while_it_is_read_on() -> None:
    """Its place is for others, so its memory must be."""
    bodies, sizes = Bodies(8 * FREE_BYTES), list[int]()
    parts = [bytes(8 * FREE_BYTES), b"x", b"x"]

    async def receive() -> dict[str, Any]:
        sizes.append(tracemalloc.get_traced_memory()[0])
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    tracemalloc.start()
    try:
        with pytest.raises(RequestEntityTooLargeException):
            await bodies.read(receive, 8 * FREE_BYTES)
    finally:
        tracemalloc.stop()
    assert sizes[1] - sizes[0] > 7 * FREE_BYTES
    assert sizes[2] - sizes[0] < FREE_BYTES


async def test_bodies_that_are_read_at_once_are_bounded() -> None:
    """What strangers send at once is bounded; small bodies and later ones are read as ever."""
    bodies, ends = Bodies(2 * FREE_BYTES), asyncio.Event()

    async def slow() -> bytes:
        parts = [CHUNK, CHUNK, b""]

        async def receive() -> dict[str, Any]:
            if len(parts) == 1:
                await ends.wait()
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        return await bodies.read(receive)

    async with asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(slow()) for _ in range(2)]
        await settle()
        assert bodies.held == 2 * FREE_BYTES
        with pytest.raises(TooManyBodies) as refused:
            await bodies.read(arriving(CHUNK, b"x", CHUNK))
        assert (refused.value.code, refused.value.status) == ("ServiceUnavailableException", 503)
        assert await bodies.read(arriving(CHUNK)) == CHUNK
        assert bodies.held == 2 * FREE_BYTES
        ends.set()
    assert [len(each.result()) for each in reading] == [2 * FREE_BYTES] * 2
    assert bodies.held == 0
    assert len(await bodies.read(arriving(CHUNK, CHUNK, CHUNK))) == 3 * FREE_BYTES


async def test_what_was_held_is_given_back() -> None:
    """A body that is too large, or never ends, leaves nothing held."""
    bodies = Bodies(10 * FREE_BYTES)
    with pytest.raises(RequestEntityTooLargeException):
        await bodies.read(arriving(CHUNK, CHUNK, CHUNK), 2 * FREE_BYTES)
    assert bodies.held == 0

    parts: list[dict[str, Any]] = [
        {"type": "http.request", "body": CHUNK * 2, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def cut() -> dict[str, Any]:
        return parts.pop(0)

    with pytest.raises(ValidationException):
        await bodies.read(cut)
    assert bodies.held == 0


@pytest.mark.parametrize(("size", "fits"), [(3 * FREE_BYTES, True), (3 * FREE_BYTES + 1, False)])
async def test_the_bound_of_all_bodies(size: int, fits: bool) -> None:
    """What goes beyond the free part of a body has a place, up to the bound itself."""
    bodies = Bodies(2 * FREE_BYTES)
    if fits:
        assert len(await bodies.read(arriving(bytes(size)))) == size
    else:
        with pytest.raises(TooManyBodies):
            await bodies.read(arriving(bytes(size)))
    assert bodies.held == 0


@pytest.mark.parametrize("parts", [[b"xxxxx"], [b"xxxx", b"y"], [b"xxx", b"y", b"z"]])
async def test_a_refused_body_is_read_on_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, parts: list[bytes]
) -> None:
    """What is discarded has a bound, too: beyond it, the rest is left unread."""
    monkeypatch.setattr("greenroom.control.request_body.DISCARDED_BYTES", 4)
    receive = arriving(*parts, b"never read")
    with pytest.raises(RequestEntityTooLargeException, match="larger than 3 bytes"):
        await Bodies().read(receive, 3)
    assert (await receive())["body"] == b"never read"
