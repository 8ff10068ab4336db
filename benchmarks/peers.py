"""`make bench-peers`: the same load on other servers, on the references and on Greenroom.

Each peer does as little as a chat can: every message to everybody, without tokens, sessions or
limits, as its own documentation says to broadcast. One server runs at a time, and a round has them
all.
"""

import functools
import shutil
import socket
import string
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import msgspec

from benchmarks.bare import BarePython
from benchmarks.calibration import Calibration
from benchmarks.client import PAYLOAD_BYTES, Load, Outcome, Server, Target, run
from benchmarks.plot import Bar
from benchmarks.processes import (
    BUILT,
    ROOT,
    START_SECONDS,
    NotHere,
    allow_descriptors,
    end,
    start_server,
)
from benchmarks.reference import Reference
from benchmarks.report import Table, write
from benchmarks.runs import Measured, Plan, plan, rounds, running
from benchmarks.series import progress
from benchmarks.service import Greenroom
from scripts.servers.ports import free_port

PEERS = ROOT / "benchmarks" / "peers"
CONNECTIONS = 1_000
WINDOWS = (1, 10)
"""Messages on the way: one, or bursts of ten."""

SOCKETIO_PATH = "/socket.io/?EIO=4&transport=websocket"
SOCKETIO_PATTERN = '42["message",{"Content":"{message}"}]'


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a peer is started on a port in a directory of its own, and spoken to."""

    name: str
    command: Callable[[int, Path], Sequence[str | Path]]
    version: Callable[[], str]
    path: str = "/"
    socketio: bool = False
    publish_path: str | None = None
    secure: bool = False


class Peer:
    """A running server of somebody else's."""

    def __init__(self, recipe: Recipe, directory: Path) -> None:
        allow_descriptors()
        self.name = recipe.name
        self._recipe = recipe
        self._port = free_port()
        home = directory / f"peer-{self._port}"
        home.mkdir()
        log = home / "log"
        self._process = start_server(recipe.command(self._port, home), log, directory=PEERS)
        self._wait(log)

    def target(self, load: Load) -> Target:
        """Return its address and dialect: peers know no tokens."""
        recipe, host = self._recipe, f"127.0.0.1:{self._port}"
        s = "s" if recipe.secure else ""
        target = Target(pid=self._process.pid, url=f"ws{s}://{host}{recipe.path}")
        if recipe.socketio:
            content = PAYLOAD_BYTES - len(SOCKETIO_PATTERN.replace("{message}", ""))
            target = msgspec.structs.replace(
                target, pattern=SOCKETIO_PATTERN, content=content, socketio=True
            )
        if recipe.publish_path is not None:
            url = f"http{s}://{host}{recipe.publish_path}"
            target = msgspec.structs.replace(target, publish_url=url)
        return target

    def stop(self) -> None:
        """End the server at once."""
        end(self._process)

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port)).close()
            except ConnectionRefusedError:
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise RuntimeError(f"{self.name} did not start:\n{log.read_text(errors='replace')}")


# --------------------------------------------------------------------------------- the peers


def _node(script: str) -> Callable[[int, Path], Sequence[str | Path]]:
    def command(port: int, _: Path) -> Sequence[str | Path]:
        return [program("node"), PEERS / script, str(port)]

    return command


def _bun(port: int, _: Path) -> Sequence[str | Path]:
    return [PEERS / "node_modules" / ".bin" / "bun", PEERS / "bun_server.js", str(port)]


def _nchan(port: int, home: Path) -> Sequence[str | Path]:
    return nginx_with("nchan.conf", home, port=port, listen="", tls="")


def nginx_with(template: str, home: Path, **values: object) -> Sequence[str | Path]:
    """Return the command of nginx, with a file of `peers/` that values are filled in."""
    nginx, module = find_nginx()
    text = string.Template((PEERS / template).read_text())
    configuration = home / "nginx.conf"
    configuration.write_text(text.substitute(values, module=module))
    return [nginx, "-p", home, "-c", configuration, "-e", "stderr"]


def _websockets(port: int, _: Path) -> Sequence[str | Path]:
    return [python_with("websockets", "uvloop"), PEERS / "websockets_server.py", str(port)]


def _uvicorn(module: str, *needs: str) -> Callable[[int, Path], Sequence[str | Path]]:
    def command(port: int, _: Path) -> Sequence[str | Path]:
        options = ["--port", str(port), "--log-level", "warning", "--ws", "websockets-sansio"]
        return [python_with("uvicorn", *needs), "-m", "uvicorn", *options, module]

    return command


def _daphne(port: int, _: Path) -> Sequence[str | Path]:
    application = "channels_server:application"
    options = ["-b", "127.0.0.1", "-p", str(port), "--verbosity", "0"]
    return [python_with("daphne", "channels"), "-m", "daphne", *options, application]


def program(name: str) -> str:
    """Return the path of a program.

    Raises:
        NotHere: it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise NotHere(f"needs {name}")
    return found


def find_nginx() -> tuple[Path, Path]:
    """Return nginx and nchan: Debian's packages, unpacked below `build/` or installed.

    Raises:
        NotHere: they are not here.
    """
    for root in (BUILT / "nginx", Path("/")):
        module = root / "usr/lib/nginx/modules/ngx_nchan_module.so"
        if module.exists() and (root / "usr/sbin/nginx").exists():
            return root / "usr/sbin/nginx", module
    raise NotHere("needs Debian's nginx and libnginx-mod-nchan")


def python_with(*modules: str) -> str:
    """Return a Python that has modules: that of the peers' environment, or this one.

    Raises:
        NotHere: neither has.
    """
    imports = f"import {', '.join(modules)}"
    for python in (str(ROOT / ".venv" / "bench" / "bin" / "python"), sys.executable):
        if Path(python).exists() and not output([python, "-c", imports])[0]:
            return python
    raise NotHere(f"needs {', '.join(modules)} of requirements/bench.txt")


def output(command: Sequence[str | Path]) -> tuple[int, str]:
    """Return a command's exit code, and what it prints."""
    done = subprocess.run(  # noqa: S603 - asks a peer for its version
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def npm_version(package: str) -> Callable[[], str]:
    """Return what tells the version of a package; it raises NotHere where that is not installed."""

    def version() -> str:
        path = PEERS / "node_modules" / package / "package.json"
        if not path.exists():
            raise NotHere(f"needs {package}: `npm ci` in benchmarks/peers")
        return str(msgspec.json.decode(path.read_bytes())["version"])

    return version


def python_version(package: str, module: str) -> Callable[[], str]:
    """Return what tells the version of a package by a module of it; it raises NotHere likewise."""

    def version() -> str:
        code = f"import importlib.metadata as m; print(m.version({package!r}))"
        return output([python_with(module), "-c", code])[1]

    return version


def nchan_version() -> str:
    """Return the versions of nchan and nginx; raise NotHere as `find_nginx` does."""
    nginx, _ = find_nginx()
    packages = (BUILT / "nginx").glob("libnginx-mod-nchan_*.deb")
    version = next((path.name.split("_")[1] for path in packages), "(Debian)")
    return f"{unquote(version)} in nginx {output([nginx, '-v'])[1].partition('/')[2]}"


RECIPES = (
    Recipe(
        name="nchan",
        command=_nchan,
        version=nchan_version,
        path="/subscribe",
        publish_path="/publish",
    ),
    Recipe(name="Bun", command=_bun, version=npm_version("bun")),
    Recipe(name="ws on Node", command=_node("ws_server.js"), version=npm_version("ws")),
    Recipe(
        name="Socket.IO on Node",
        command=_node("socketio_server.js"),
        version=npm_version("socket.io"),
        path=SOCKETIO_PATH,
        socketio=True,
    ),
    Recipe(
        name="websockets.broadcast",
        command=_websockets,
        version=python_version("websockets", "websockets"),
    ),
    Recipe(
        name="python-socketio, uvicorn",
        command=_uvicorn("socketio_server:application", "socketio"),
        version=python_version("python-socketio", "socketio"),
        path=SOCKETIO_PATH,
        socketio=True,
    ),
    Recipe(
        name="Django Channels, uvicorn",
        command=_uvicorn("channels_server:application", "channels"),
        version=python_version("channels", "channels"),
    ),
    Recipe(
        name="Django Channels, daphne",
        command=_daphne,
        version=python_version("channels", "channels"),
    ),
)


# ------------------------------------------------------------------------------- the table


class Field(msgspec.Struct, frozen=True):
    """Who is compared: how to start each, its version, and who is missing here for what reason."""

    starts: Mapping[str, Callable[[Path], Server]]
    versions: Mapping[str, str]
    missing: Mapping[str, str]


def field(plan: Plan) -> Field:
    """Return the servers that can be started here."""
    starts: dict[str, Callable[[Path], Server]] = {
        Reference.name: Reference,
        BarePython.name: BarePython,
        Greenroom.name: Greenroom,
    }
    versions, missing = {}, {}
    for recipe in RECIPES:
        if not plan.wanted(recipe.name):
            continue
        try:
            versions[recipe.name] = recipe.version()
        except NotHere as error:
            missing[recipe.name] = str(error)
            progress(f"{recipe.name} is left out: {error}")
        else:
            starts[recipe.name] = _start(recipe)
    return Field(starts, versions, missing)


def _start(recipe: Recipe) -> Callable[[Path], Server]:
    def start(directory: Path) -> Server:
        return Peer(recipe, directory)

    return start


def measure(plan: Plan, field: Field) -> Measured:
    """Send both loads to one server after the other, in every round."""
    measured = Measured(Calibration(plan.attempts))
    number = plan.connections(CONNECTIONS)
    for _ in rounds(plan):
        for start in field.starts.values():
            with running([start]) as servers:
                for window in WINDOWS:
                    load = Load(
                        connections=number,
                        seconds=plan.seconds,
                        warm_up=plan.warm_up,
                        window=window,
                        burst=window,
                    )
                    measured.take(case_of(window), servers, functools.partial(run, load=load))
    return measured


def table(plan: Plan, field: Field, measured: Measured) -> Table:
    """Return the table of what was measured, the cheapest server first."""
    names = sorted(field.starts, key=lambda name: measured.series(case_of(1), name, _cpu).median)
    bars = [
        Bar(f"{name}, {case_of(window)}", name, measured.series(case_of(window), name, _cpu))
        for window in reversed(WINDOWS)
        for name in names
        if measured.series(case_of(window), name, _cpu).median < _OFF_THE_SCALE
    ]
    versions = ", ".join(f"{name} {version}" for name, version in field.versions.items())
    return Table(
        name="peers",
        title=f"Fan-out of other servers, {plan.connections(CONNECTIONS):,} connections",
        columns=[
            "server",
            *(f"CPU µs per delivery, {case_of(window)}" for window in WINDOWS),
            *(f"ratio to Greenroom, {case_of(window)}" for window in WINDOWS),
            "ratio to C reference, one at a time",
            "ratio to bare Python, one at a time",
            "user-space µs",
            "CPU µs per connect",
            "client CPU",
        ],
        rows=[_row(name, measured) for name in names],
        bars=bars,
        axis=f"server CPU per delivery, µs (servers above {_OFF_THE_SCALE} µs are left out)",
        notes=[
            f"Versions: {versions}; node {_version_of('node')}.",
            *(f"{name} is left out: {reason}." for name, reason in field.missing.items()),
            measured.calibration.note(),
        ],
    )


_OFF_THE_SCALE = 40


def _row(name: str, measured: Measured) -> list[str]:
    one, ten = (measured.series(case_of(window), name, _cpu) for window in WINDOWS)
    our_one, our_ten = (
        measured.series(case_of(window), Greenroom.name, _cpu) for window in WINDOWS
    )
    reference, bare = (
        measured.series(case_of(1), base, _cpu) for base in (Reference.name, BarePython.name)
    )

    def median(figure: Callable[[Outcome], float]) -> float:
        return measured.series(case_of(1), name, figure).median

    return [
        name,
        one.text(),
        ten.text(),
        one.over(our_one).text(),
        ten.over(our_ten).text(),
        one.over(reference).text(),
        one.over(bare).text(),
        f"{median(lambda outcome: outcome.user):.2f}",
        f"{median(lambda outcome: outcome.connect):.0f}",
        f"{median(lambda outcome: outcome.client_share):.0%}",
    ]


def _cpu(outcome: Outcome) -> float:
    return outcome.cpu


def case_of(window: int) -> str:
    """Return what a load with so many messages on the way is called."""
    return "one at a time" if window == 1 else f"bursts of {window}"


def _version_of(program: str) -> str:
    found = shutil.which(program)
    return output([found, "--version"])[1] if found else "none"


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "")
    compared = field(chosen)
    measured = measure(chosen, compared)
    write(table(chosen, compared, measured), chosen, measured.outcomes)


if __name__ == "__main__":
    main()
