"""`make bench-encrypted-peers`: the same load over TLS on other servers, and on Greenroom.

The peers of `peers.py` that speak TLS themselves, and nginx that terminates it in front of
Greenroom. One server runs at a time, and a round has them all.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks.client import Load, Outcome, Server, Target
from benchmarks.encrypted import Encrypted, OpenSsl
from benchmarks.peers import (
    CONNECTIONS,
    PEERS,
    WINDOWS,
    Field,
    Peer,
    Recipe,
    case_of,
    find_nginx,
    measure,
    nchan_version,
    nginx_with,
    npm_version,
    program,
)
from benchmarks.plot import Bar
from benchmarks.processes import NotHere
from benchmarks.report import Table, write
from benchmarks.runs import Measured, Plan, plan
from benchmarks.series import progress
from benchmarks.service import Greenroom
from greenroom.entrance.dev_certificate import dev_certificate

BEHIND_NGINX = "Greenroom behind nginx"


def _files(home: Path) -> tuple[Path, Path]:
    return dev_certificate(home, "127.0.0.1")


def _tls(home: Path) -> str:
    certificate, key = _files(home)
    return f"ssl_certificate {certificate}; ssl_certificate_key {key};"


def _bun(port: int, home: Path) -> Sequence[str | Path]:
    bun = PEERS / "node_modules" / ".bin" / "bun"
    return [bun, PEERS / "bun_server.js", str(port), *_files(home)]


def _ws(port: int, home: Path) -> Sequence[str | Path]:
    return [program("node"), PEERS / "ws_server.js", str(port), *_files(home)]


def _nchan(port: int, home: Path) -> Sequence[str | Path]:
    return nginx_with("nchan.conf", home, port=port, listen=" ssl", tls=_tls(home))


def _in_front(behind: str) -> Callable[[int, Path], Sequence[str | Path]]:
    def command(port: int, home: Path) -> Sequence[str | Path]:
        return nginx_with("in_front.conf", home, port=port, tls=_tls(home), behind=behind)

    return command


RECIPES = (
    Recipe(name="Bun", command=_bun, version=npm_version("bun"), secure=True),
    Recipe(name="ws on Node", command=_ws, version=npm_version("ws"), secure=True),
    Recipe(
        name="nchan",
        command=_nchan,
        version=nchan_version,
        path="/subscribe",
        publish_path="/publish",
        secure=True,
    ),
)


class BehindNginx:
    """The service without TLS, and nginx that has it; the account is that of both."""

    name = BEHIND_NGINX

    def __init__(self, directory: Path) -> None:
        self._service = Greenroom(directory)
        behind = f"http://127.0.0.1:{self._service.port}"
        recipe = Recipe(
            name=self.name, command=_in_front(behind), version=nchan_version, secure=True
        )
        try:
            self._nginx = Peer(recipe, directory)
        except BaseException:
            self._service.stop()
            raise

    def target(self, load: Load) -> Target:
        """Return nginx's address, with the service's tokens."""
        ours, front = self._service.target(load), self._nginx.target(load)
        return msgspec.structs.replace(ours, url=front.url, further_pids=[front.pid])

    def stop(self) -> None:
        """End both at once."""
        self._nginx.stop()
        self._service.stop()


def field(plan: Plan) -> Field:
    """Return the servers that can be started here."""
    starts: dict[str, Callable[[Path], Server]] = {
        OpenSsl.name: OpenSsl,
        Greenroom.name: Greenroom,
        Encrypted.name: Encrypted,
    }
    versions, missing = dict[str, str](), dict[str, str]()
    found: list[tuple[str, Callable[[Path], Server], Callable[[], object]]] = [
        (each.name, functools.partial(Peer, each), each.version) for each in RECIPES
    ]
    for name, start, version in (*found, (BEHIND_NGINX, BehindNginx, find_nginx)):
        if not plan.wanted(name):
            continue
        try:
            told = version()
        except NotHere as error:
            missing[name] = str(error)
            progress(f"{name} is left out: {error}")
        else:
            starts[name] = start
            if isinstance(told, str):
                versions[name] = told
    return Field(starts, versions, missing)


def table(plan: Plan, field: Field, measured: Measured) -> Table:
    """Return the table of what was measured, the cheapest server first."""
    names = sorted(field.starts, key=lambda name: measured.series(case_of(1), name, _cpu).median)
    versions = ", ".join(f"{name} {version}" for name, version in field.versions.items())
    return Table(
        name="encrypted-peers",
        title=f"Fan-out over TLS of other servers, {plan.connections(CONNECTIONS):,} connections",
        columns=[
            "server",
            *(f"CPU µs per delivery, {case_of(window)}" for window in WINDOWS),
            *(f"ratio to Greenroom with TLS, {case_of(window)}" for window in WINDOWS),
            "ratio to C and OpenSSL, one at a time",
            "ratio to Greenroom without TLS, one at a time",
            "CPU µs per connect",
            "client CPU",
        ],
        rows=[_row(name, measured) for name in names],
        bars=[
            Bar(f"{name}, {case_of(window)}", name, measured.series(case_of(window), name, _cpu))
            for window in reversed(WINDOWS)
            for name in names
        ],
        axis="server CPU per delivery, µs",
        notes=(
            "A certificate with a P-256 key; each server has the versions and ciphers of its own.",
            "Greenroom, without more, is without TLS. Behind nginx, the CPU is that of both.",
            f"Versions: {versions}.",
            *(f"{name} is left out: {reason}." for name, reason in field.missing.items()),
            measured.calibration.note(),
        ),
    )


def _row(name: str, measured: Measured) -> list[str]:
    one, ten = (measured.series(case_of(window), name, _cpu) for window in WINDOWS)
    our_one, our_ten = (
        measured.series(case_of(window), Encrypted.name, _cpu) for window in WINDOWS
    )
    others = (measured.series(case_of(1), base, _cpu) for base in (OpenSsl.name, Greenroom.name))
    connect = measured.series(case_of(1), name, lambda outcome: outcome.connect)
    share = measured.series(case_of(1), name, lambda outcome: outcome.client_share)
    return [
        name,
        one.text(),
        ten.text(),
        one.over(our_one).text(),
        ten.over(our_ten).text(),
        *(one.over(other).text() for other in others),
        f"{connect.median:.0f}",
        f"{share.median:.0%}",
    ]


def _cpu(outcome: Outcome) -> float:
    return outcome.cpu


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "")
    compared = field(chosen)
    measured = measure(chosen, compared)
    write(table(chosen, compared, measured), chosen, measured.outcomes)


if __name__ == "__main__":
    main()
