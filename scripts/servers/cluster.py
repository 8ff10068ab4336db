"""Three nodes on one PostgreSQL and three NATS servers, to try a cluster: `make cluster`.

Everything runs on loopback, and ends with Ctrl-C; what was kept is deleted then, the logs are not.
Who presses Enter has everything started again that has ended. Without nodes (`--nodes 0`) it is the
servers that nodes need, with settings for those that one starts oneself.
"""

import argparse
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from greenroom.process.files import write_private
from scripts.servers.nats_server import NatsServer, bus_of, nats_cluster
from scripts.servers.node import Node, new_secrets_key
from scripts.servers.postgresql import PostgreSQL, postgresql
from scripts.servers.process import ServerFailed, ServerProcess

DATABASE = "greenroom"

COMMAND = ".venv/bin/greenroom"

STOP = "Stop it:     Ctrl-C"

LOOK_SECONDS = 1.0
"""How often it is looked whether all still run."""

LOGS = Path(__file__).parents[2] / "build" / "cluster"
"""Where the logs of the last one are."""


class Cluster(msgspec.Struct, frozen=True):
    """What runs; `settings` are those of its nodes, by variable."""

    nodes: Sequence[Node]
    bus: Sequence[NatsServer]
    database: PostgreSQL
    settings: Mapping[str, str]
    file: Path
    """The same and the rest that one node more has to be told."""

    @property
    def processes(self) -> list[ServerProcess]:
        """Return all of it."""
        return [*self.nodes, *self.bus, self.database]


@contextlib.contextmanager
def cluster(directory: Path, nodes: int, port: int) -> Iterator[Cluster]:
    """Run a cluster for the length of a `with` block; its nodes have ports from `port` on."""
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgresql())
        bus = stack.enter_context(nats_cluster(directory))
        url, key = database.create_database(DATABASE), new_secrets_key()
        started = [
            Node(
                directory,
                f"node-{number}",
                storage=url,
                bus=bus_of(bus),
                secrets_key=key,
                port=port + number - 1 if port else 0,
            )
            for number in range(1, nodes + 1)
        ]
        for node in started:
            stack.callback(node.stop)
            node.start(wait=False)
        for node in started:
            node.until_ready()
        settings = {"GREENROOM_STORAGE": url, "GREENROOM_BUS": bus_of(bus)}
        file = directory / "node.toml"
        if started:
            write_private(file, _toml(started[0].settings))
        yield Cluster(started, bus, database, settings, file)


def _toml(settings: Mapping[str, str]) -> str:
    return "".join(f"{name} = {json.dumps(each)}\n" for name, each in settings.items())


def banner(running: Cluster) -> str:
    """Return what a person sees: endpoints, how to try them, and what may be killed."""
    servers = [
        *(f"  {each.name}  {each.url}  process {each.pid}" for each in running.bus),
        f"  PostgreSQL  127.0.0.1:{running.database.port}  process {running.database.pid}",
        "",
    ]
    if not running.nodes:
        return "\n".join(["The servers are ready, for nodes of yours:", *servers, STOP])
    first = running.nodes[0].ready
    lines = [
        f"{len(running.nodes)} nodes are ready; what one of them is told, all know:",
        *(f"  {node.name}  {node.ready['api_url']}  process {node.pid}" for node in running.nodes),
        *servers,
        f"Access key   {first['access_key_id']}",
        f"Credentials  {first['credentials_file']}",
        f"Logs         {running.nodes[0].log.parent}",
        "",
        *_commands(running),
        "End one:     kill -9 and its process; Enter here starts again what has ended",
        STOP,
    ]
    return "\n".join(lines)


def _commands(running: Cluster) -> Iterator[str]:
    """Yield what can be copied to another terminal in the checkout."""
    first, last = running.nodes[0], running.nodes[-1]
    key = f"AWS_SHARED_CREDENTIALS_FILE={first.ready['credentials_file']}"
    place = f"--region {first.ready['region']} --profile greenroom"
    for node in (first, last):
        url = node.ready["api_url"]
        yield f"Try it:      {key} aws ivschat list-rooms --endpoint-url {url} {place}"
    for user, node in (("alice", first), ("bob", last)):
        yield f"Chat:        {COMMAND} chat lobby --as {user} --data-dir {node.data}"
    yield f"Look at it:  {COMMAND} cluster status --config {running.file}"
    port = last.port + 1 if last.port else 0
    another = last.data.with_name(f"node-{len(running.nodes) + 1}")
    serve = f"{COMMAND} serve --config {running.file}"
    yield f"Add a node:  {serve} --port {port} --data-dir {another}"


def keep_settings(running: Cluster, file: Path) -> None:
    """Write what a shell reads (`. FILE`) to start nodes with; it has a password."""
    lines = [f"export {name}='{value}'\n" for name, value in running.settings.items()]
    write_private(file, "".join(lines))


def main() -> None:
    """Run a cluster until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument("--nodes", type=int, default=3, help="how many  [3]")
    parser.add_argument("--settings", type=Path, help="file for the settings of nodes of one's own")
    parser.add_argument("--port", type=int, default=8471, help="port of the first; 0: free ones")
    told = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    directory = Path(tempfile.mkdtemp(prefix="greenroom-cluster-"))
    try:
        with cluster(directory, told.nodes, told.port) as running:
            if told.settings is not None:
                keep_settings(running, told.settings)
            print(banner(running), flush=True)
            _watch(running, ended)
            print("stopping ...", flush=True)
            shutil.rmtree(LOGS, ignore_errors=True)
            _keep(running.processes)
        # What they said at their end, too, where it is still there.
        _keep(running.processes)
        print(f"All has ended. The logs are in {LOGS}", flush=True)
    except ServerFailed as failed:
        sys.exit(str(failed))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _keep(processes: Iterable[ServerProcess]) -> None:
    """Keep their logs by their names."""
    LOGS.mkdir(parents=True, exist_ok=True)
    for each in processes:
        if each.log.exists():
            shutil.copyfile(each.log, LOGS / f"{each.name}.log")


def _watch(running: Cluster, ended: threading.Event) -> None:
    """Say once of each that it has ended, as who tries it makes it; start them again when asked."""
    gone: list[ServerProcess] = []
    asked = threading.Event()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    while not ended.wait(LOOK_SECONDS):
        for each in running.processes:
            if not each.runs and each not in gone:
                print(f"{each.name} has ended; its log is {each.log}", flush=True)
                gone.append(each)
        if asked.is_set():
            asked.clear()
            _start_again(gone)


def _listen(asked: threading.Event) -> None:
    """Note each line that somebody enters."""
    for _ in sys.stdin:
        asked.set()


def _start_again(gone: list[ServerProcess]) -> None:
    while gone:
        each = gone.pop(0)
        if isinstance(each, Node):
            each.stay()
        try:
            each.start()
        except ServerFailed as failed:
            print(failed, flush=True)
            continue
        place = f"  {each.ready['api_url']}" if isinstance(each, Node) else ""
        print(f"{each.name} runs again{place}  process {each.pid}", flush=True)


if __name__ == "__main__":
    main()
