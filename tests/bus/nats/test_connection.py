"""How a node meets NATS: what a start refuses, in one line that says what and where."""

import re
import socket
from pathlib import Path

import nats
import pytest

from greenroom.bus.base import BusRefused
from greenroom.bus.nats import connection
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.connection import Options
from greenroom.bus.nats.login import by_nkey, by_password, by_token, seed_of
from scripts.servers.nats_server import nats_server
from tests.running.buses import SMALL, buses_at, until

SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
"""A seed of a user, from NATS's documentation."""


async def refusal(options: Options, seconds: float = 1.0) -> str:
    """Return why a start is refused."""
    with pytest.raises(BusRefused) as refused:
        await NatsBus.open(options, seconds=seconds)
    return str(refused.value)


async def test_nobody_is_there() -> None:
    """The address that was tried is named; nothing secret is."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    told = await refusal(Options(servers=[f"nats://name:secret@127.0.0.1:{port}"]))
    assert f"nats://127.0.0.1:{port}" in told
    assert "secret" not in told


async def test_somebody_else_is_there() -> None:
    """A server that does not speak NATS is told as such a one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        told = await refusal(Options(servers=[f"nats://127.0.0.1:{port}"]), 0.5)
    assert "NATS cannot be used" in told


async def test_a_wrong_password(bus_url: str) -> None:
    """The server is named, not the password."""
    wrong = re.sub(r":[^:@]*@", ":wrong-one@", bus_url)
    told = await refusal(Options(servers=wrong.split(",")))
    assert "does not let this node in" in told
    assert "wrong-one" not in told


async def test_a_server_without_jetstream(tmp_path: Path) -> None:
    """It is told what is missing."""
    with nats_server(tmp_path, jetstream=False) as server:
        assert "JetStream is not enabled" in await refusal(Options(servers=[server.url]))


async def test_an_old_server(bus_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least version that is needed is named."""
    monkeypatch.setattr(connection, "LEAST_VERSION", (99, 1))
    told = await refusal(Options(servers=bus_url.split(",")))
    assert "is nats-server 2." in told
    assert "99.1 is the least" in told


@pytest.mark.parametrize("way", ["password", "token", "nkey"])
async def test_ways_to_log_in(way: str, tmp_path: Path) -> None:
    """With the right file a node is let in, without it not."""
    secret = tmp_path / "secret"
    secret.write_text(SEED if way == "nkey" else "open sesame")
    login, allowed = {
        "password": (by_password("ann", secret), '{ user: "ann", password: "open sesame" }'),
        "token": (by_token(secret), '{ token: "open sesame" }'),
        "nkey": (by_nkey(secret) if way == "nkey" else None, ""),
    }[way]
    if way == "nkey":
        allowed = f"{{ users: [ {{ nkey: {seed_of(SEED).public} }} ] }}"
    extra = f"authorization {allowed}\n"
    with nats_server(tmp_path / "nats", extra=extra) as server:
        assert login is not None
        options = Options(servers=[server.url], login=login, stream_bytes=SMALL)
        bus = await NatsBus.open(options)
        await bus.close()
        assert "does not let this node in" in await refusal(Options(servers=[server.url]))


async def test_a_server_that_is_away_is_passed_over(bus_url: str) -> None:
    """Of several the next one is tried."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with buses_at(f"nats://127.0.0.1:{port},{bus_url}", 1) as (bus,):
        assert bus.figures.connected


async def test_what_is_too_large_is_told(
    bus_url: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A message that the server would not take ends nothing: what comes after it is sent."""
    async with buses_at(bus_url, 1) as (bus,):
        await bus.start()
        heard: list[bytes] = []
        bus.on_announcement(heard.append)
        bus.announce(bytes(2 << 20))
        bus.announce(b"small")
        await until(lambda: heard)
        assert heard == [b"small"]
    assert "could not be sent" in capsys.readouterr().out


async def test_another_client_sees_no_credentials(bus_url: str) -> None:
    """A node is listed under its name alone."""
    async with buses_at(bus_url, 1) as (bus,):
        client = await nats.connect(bus_url.split(","))
        assert bus.node.isalnum()
        await client.close()
