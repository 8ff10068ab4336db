"""How it is judged whom a service believes; and a proxy that drops what it should pass on.

Covers: greenroom.cli.doctor.probing
"""

import asyncio
import functools

import pytest
from click.testing import CliRunner

from greenroom.cli.api import Endpoint
from greenroom.cli.doctor import probing
from greenroom.cli.doctor.findings import Finding, Level
from greenroom.cli.doctor.proxies import CLIENT, Seen, judged
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main
from tests.running.recording import Scripted, recording

HERE = Endpoint.parse("http://127.0.0.1:8470")
PUBLIC = Endpoint.parse("https://chat.example.com")


@pytest.mark.parametrize(
    ("endpoint", "plain", "forwarded", "level", "words"),
    [
        (HERE, Seen("127.0.0.1", secure=False), Seen("127.0.0.1", secure=False), Level.OK, "seen"),
        (
            HERE,
            Seen("127.0.0.1", secure=False),
            Seen(CLIENT, secure=True),
            Level.OK,
            "127.0.0.1 is believed about its clients' addresses, and about TLS",
        ),
        (
            PUBLIC,
            Seen("192.0.2.1", secure=True),
            Seen("192.0.2.1", secure=True),
            Level.OK,
            "seen as from 192.0.2.1",
        ),
        (
            PUBLIC,
            Seen("10.0.0.1", secure=True),
            Seen(CLIENT, secure=True),
            Level.FAULT,
            "any client can claim any address",
        ),
        (
            PUBLIC,
            Seen("192.0.2.1", secure=False),
            Seen("192.0.2.1", secure=False),
            Level.NOTE,
            "a request over TLS counts as one without",
        ),
        (
            PUBLIC,
            Seen("127.0.0.1", secure=True),
            Seen("127.0.0.1", secure=True),
            Level.NOTE,
            "everybody comes from 127.0.0.1",
        ),
        (
            Endpoint.parse("http://chat.example.com"),
            Seen("192.0.2.1", secure=False),
            Seen("192.0.2.1", secure=True),
            Level.FAULT,
            "claim to come over TLS",
        ),
    ],
)
def test_whom_the_service_believes(
    endpoint: Endpoint, plain: Seen, forwarded: Seen, level: Level, words: str
) -> None:
    """A proxy that is believed is well, a client that is believed is a fault."""
    said = judged(endpoint, plain, forwarded)
    assert said.level is level
    assert words in said.said
    assert bool(said.remedy) is (level is not Level.OK)


async def probed(health: Scripted, upgrade: Scripted) -> dict[str, Finding]:
    """Return what is found of a service behind a proxy that answers so."""
    async with recording() as peer:
        peer.scripts = {"health": [health], "": [upgrade]}
        found = await asyncio.to_thread(lambda: list(probing.look(Endpoint.parse(peer.url))))
    return {each.part: each for each in found}


WELL = Scripted(body={"status": "ok", "version": "0.0.1"})
REFUSED = Scripted(400, {}, {"x-amzn-errortype": "ValidationException"})


async def test_what_a_service_says_of_itself() -> None:
    """Another version is told; a part that fails is a fault, with what that means."""
    found = await probed(WELL, REFUSED)
    assert found["service"].level is Level.NOTE
    assert "greenroom serve --takeover" in found["service"].remedy
    assert found["websocket"].level is Level.OK
    ill = {"status": "failing", "version": "0.0.1", "failing": {"store": "the disk is full"}}
    found = await probed(Scripted(503, ill), REFUSED)
    assert found["service"].level is Level.FAULT
    assert "store: the disk is full" in found["service"].said


async def test_what_fails_in_part_is_shown() -> None:
    """It is no fault: `greenroom health` shows it and ends well, `doctor` notes it."""
    body = {"status": "ok", "version": "0.0.1", "degraded": {"bus": "a stream takes nothing"}}
    service = (await probed(Scripted(body=body), REFUSED))["service"]
    assert service.level is Level.NOTE
    assert "bus: a stream takes nothing" in service.said
    async with recording() as peer:
        peer.scripts = {"health": [Scripted(body=body)]}
        asked = functools.partial(CliRunner().invoke, main, ["health", "--url", peer.url])
        shown = await asyncio.to_thread(asked)
    assert shown.exit_code == ExitCode.OK
    assert "  bus, in part: a stream takes nothing\n" in shown.stdout


@pytest.mark.parametrize("body", [b"", b"[]", b'{"status": "\xff", "version": "1"}'])
async def test_a_health_that_is_none(body: bytes) -> None:
    """Something else answers there: a finding, no traceback."""
    found = await probed(Scripted(body=body), REFUSED)
    assert found["service"].level is Level.FAULT
    assert "not as Greenroom does" in found["service"].said


async def test_upgrades_that_do_not_arrive() -> None:
    """What is missing is named, and what answers instead."""
    lost = Scripted(426, {"ErrorMessage": "Missing: Connection: upgrade"})
    assert (await probed(WELL, lost))["websocket"].said == "Missing: Connection: upgrade"
    for body in (b"[]", b"\xff", b"{}"):
        said = (await probed(WELL, Scripted(426, body)))["websocket"].said
        assert said == "an upgrade does not arrive"
    other = (await probed(WELL, Scripted(200, b"<html>")))["websocket"]
    assert other.level is Level.FAULT
    assert other.said == "a handshake is answered with 200"


async def test_clocks_that_differ() -> None:
    """More than a minute is a fault: requests that are 5 minutes off are refused."""
    date = {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    found = await probed(Scripted(body=WELL.body, headers=date), REFUSED)
    assert found["clocks"].level is Level.FAULT
    assert (await probed(WELL, REFUSED))["clocks"].level is Level.OK
    found = await probed(Scripted(body=WELL.body, headers={"date": "soon"}), REFUSED)
    assert found["clocks"].level is Level.NOTE
    assert "is none: soon" in found["clocks"].said


def test_nobody_there() -> None:
    """That nobody answers is the one fault."""
    (said,) = probing.look(Endpoint.parse("http://127.0.0.1:1"))
    assert (said.part, said.level) == ("service", Level.FAULT)
