"""`make bench-storm`: everybody comes back at once over TLS, when a service has been started again.

5,000 viewers of 500 rooms, from 50 addresses, connect to a fresh service at the same time; all must
get in. Meanwhile ten others chat in a room: what they wait for is compared with what they wait for
when nobody comes. The limits on connections are those that are on by default. The C reference has
the handshakes, and no tokens.
"""

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.calibration import Calibration
from benchmarks.client import Load, Outcome, Server, Target, send
from benchmarks.encrypted import OpenSsl
from benchmarks.plot import Bar
from benchmarks.reference import Reference
from benchmarks.report import Table, write
from benchmarks.runs import Plan, plan, rounds, running
from benchmarks.series import Series, progress
from benchmarks.service import Greenroom
from greenroom.settings.table import SETTINGS

VIEWERS, MEMBERS, ADDRESSES = 5_000, 10, 50
RATE = 100
"""Messages a second in the room that chats."""

CHAT_SECONDS = 2.0
LEAD_SECONDS = 1.0
"""Until the room chats: it connects, settles and warms up."""

LIMITS = ("new_connections_per_second", "connections_per_room", "connections_per_user")
"""What other measurements switch off."""


def _rsa_certificate(directory: Path) -> tuple[Path, Path]:
    """Return the files of a certificate with an RSA key of 2,048 bits, and of the key."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    files = directory / "rsa-certificate.pem", directory / "rsa-key.pem"
    pem = serialization.Encoding.PEM
    files[0].write_bytes(certificate.public_bytes(pem))
    files[1].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def _defaults() -> dict[str, str]:
    return {
        f"GREENROOM_{each.name.upper()}": str(each.default)
        for each in SETTINGS
        if each.name in LIMITS
    }


class Ecdsa(Greenroom):
    """The service with a P-256 key, and its limits."""

    name = "Greenroom, TLS"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, {"GREENROOM_DEV_TLS": "on", **_defaults()})


class Rsa(Greenroom):
    """The service with an RSA key."""

    name = "Greenroom, TLS, RSA key"

    def __init__(self, directory: Path) -> None:
        self._certificate, key = map(str, _rsa_certificate(directory))
        files = {
            "GREENROOM_TLS_CERTIFICATE_FILE": self._certificate,
            "GREENROOM_TLS_KEY_FILE": key,
        }
        super().__init__(directory, {**files, **_defaults()})

    @property
    def trusted(self) -> str:
        """The file of the certificate: the service does not know that it is not known."""
        return self._certificate


class OpenSslRsa(Reference):
    """The C reference with an RSA key."""

    name = "C and OpenSSL, RSA key"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, _rsa_certificate(directory))


SERVERS: tuple[Callable[[Path], Server], ...] = (OpenSsl, Ecdsa, OpenSslRsa, Rsa)


class Met(msgspec.Struct, frozen=True):
    """What the ten met when nobody came, and in the storm; and how the storm was."""

    alone: Outcome
    during: Outcome
    storm: Outcome


def storm(server: Server, viewers: int) -> Met:
    """Have the viewers come to a server while others chat."""
    chatting, coming = _targets(server, viewers)
    chat = Load(
        connections=MEMBERS, rate=RATE, seconds=CHAT_SECONDS, warm_up=0.5, doze=1, patience=30
    )
    crowd = Load(
        connections=viewers,
        rooms=viewers // MEMBERS,
        concurrency=viewers,
        sources=ADDRESSES,
    )
    talk = functools.partial(send, server.name, load=chat)
    alone = talk(chatting[0])
    with ThreadPoolExecutor(1) as threads:
        talking = threads.submit(talk, chatting[1])
        time.sleep(LEAD_SECONDS)
        come = send(server.name, coming, crowd)
        return Met(alone, talking.result(), come)


def _targets(server: Server, viewers: int) -> tuple[tuple[Target, Target], Target]:
    """Return where those are who chat, twice, with tokens of their own, and those who come."""
    first, again = (server.target(Load(connections=MEMBERS)) for _ in range(2))
    rooms = viewers // MEMBERS + 1
    everybody = server.target(Load(connections=rooms * MEMBERS, rooms=rooms))
    if everybody.protocols is None:
        # The reference's rooms are paths: these have others.
        url = everybody.url.replace("%d", "9%d")
        return (first, again), msgspec.structs.replace(everybody, url=url)
    tokens = everybody.protocols.read_text().splitlines(keepends=True)
    everybody.protocols.write_text("".join(tokens[MEMBERS:]))
    return (first, again), everybody


def measure(plan: Plan) -> tuple[dict[str, list[Met]], Calibration]:
    """Have every server of a round stormed, by turns."""
    met: dict[str, list[Met]] = {}
    calibration = Calibration(1)
    viewers = plan.connections(VIEWERS)
    for _ in rounds(plan):
        for start in SERVERS:
            with running([start]) as (server,):
                if plan.wanted(server.name):
                    turn = functools.partial(storm, server, viewers)
                    met.setdefault(server.name, []).extend(calibration.turns(server.name, [turn]))
                    progress(server.name)
    return met, calibration


def table(plan: Plan, met: dict[str, list[Met]], calibration: Calibration) -> Table:
    """Return the table of what was measured."""
    viewers = plan.connections(VIEWERS)
    return Table(
        name="storm",
        title=f"{viewers:,} TLS clients come back at once",
        columns=[
            "server",
            "seconds until all are back",
            "CPU µs per connection",
            "a room's p50 ms, alone",
            "meanwhile",
            "a room's p99 ms, alone",
            "meanwhile",
            "longest ms",
        ],
        rows=[_row(name, runs) for name, runs in met.items()],
        bars=[
            Bar(name, name, _series(runs, lambda each: each.storm.connect_seconds))
            for name, runs in met.items()
        ],
        axis="seconds until all are back",
        notes=(
            f"{viewers // MEMBERS:,} rooms, {ADDRESSES} addresses; nobody was refused.",
            f"The room has {MEMBERS} viewers, and {RATE} messages a second are due.",
            "Both clients share a core: some of what the room waits for is the other client.",
            calibration.note(),
        ),
    )


def _row(name: str, runs: list[Met]) -> list[str]:
    return [
        name,
        _series(runs, lambda each: each.storm.connect_seconds).text(),
        _series(runs, lambda each: each.storm.connect).text(0),
        _series(runs, lambda each: each.alone.p50 / 1e3).text(1),
        _series(runs, lambda each: each.during.p50 / 1e3).text(1),
        _series(runs, lambda each: each.alone.p99 / 1e3).text(1),
        _series(runs, lambda each: each.during.p99 / 1e3).text(1),
        _series(runs, lambda each: each.during.longest / 1e3).text(1),
    ]


def _series(runs: list[Met], figure: Callable[[Met], float]) -> Series:
    return Series([figure(each) for each in runs])


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "")
    met, calibration = measure(chosen)
    write(table(chosen, met, calibration), chosen, met)


if __name__ == "__main__":
    main()
