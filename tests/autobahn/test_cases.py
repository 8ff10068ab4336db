"""Autobahn|Testsuite's cases against the real process, whose room echoes."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.protocol.client_frames import KEY_BYTES, encode_frame, frame_at
from tests.autobahn.cases import CLOSE, FIN, Case, Frame, cases, closing
from tests.running.service import started
from tests.running.wire import upgrade_bytes

CASES = tuple(cases())

ROOT = Path(__file__).parents[2]

Address = tuple[str, int]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Return the address of a process whose room echoes."""
    service = started(
        ("-m", "tests.autobahn.echo_room", "--port", "0"),
        tmp_path_factory.mktemp("echo"),
        "echo",
        {
            "GREENROOM_STORAGE": "memory",
            "GREENROOM_FRAME_BYTES": "1048576",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        },
    )
    try:
        host, _, port = service.api_url.rpartition("/")[2].partition(":")
        yield host, int(port)
        assert service.stop() == 0
    finally:
        service.kill()


def test_every_case_is_there() -> None:
    """No number is twice, and none of the suite's 247 in these sections is missing."""
    names = [case.id for case in CASES]
    assert len(set(names)) == len(names)
    assert len([name for name in names if " " not in name]) == 247


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(address: Address, case: Case) -> None:
    """The server answers exactly what the case allows, then closes as it demands."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(upgrade_bytes())
        stream = connection.makefile("rb")
        while (line := stream.readline()) != b"\r\n":
            assert line, "the upgrade was not answered"
        sent = b"".join(masked(frame) for frame in case.sends)
        if case.close is None:
            # The client's own end: what must come, came before the answer to it.
            sent += masked(closing())
        step = case.chop or len(sent)
        for start in range(0, len(sent), step):
            connection.sendall(sent[start : start + step])
        received = list(frames(stream.read()))
    *answers, last = received
    assert tuple(answers) == case.answers
    assert last[0] == FIN | CLOSE
    assert int.from_bytes(last[1][:2], "big") == (case.close or 1000)


def masked(frame: Frame) -> bytes:
    """Return a client's frame."""
    return encode_frame(*frame, os.urandom(KEY_BYTES))


def frames(data: bytes) -> Iterator[Frame]:
    """Return the server's frames; one that is not whole or is masked fails the case."""
    end = 0
    while found := frame_at(data, end):
        first, payload, end = found
        yield first, payload
    assert end == len(data), "not whole"
