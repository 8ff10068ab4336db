"""Another process holds SQLite's write lock, as a backup tool does: only writes wait for it."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from tests.running.service import running
from tests.running.wire import WebSocket, api_of


@contextmanager
def write_lock(database: Path) -> Iterator[None]:
    """Hold the lock for the length of a `with` block."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def test_reads_and_messages_go_on(tmp_path: Path) -> None:
    """GetRoom and the first message of a room that must be loaded wait for no pending write."""
    with (
        running(tmp_path / "data") as service,
        api_of(service) as api,
        api_of(service) as writer,
        ThreadPoolExecutor(1) as threads,
    ):
        room = api.room()
        with WebSocket.connect(service, api.token(room)) as client:
            # Its new state is read when it is asked for.
            api.call("UpdateRoom", identifier=room, name="cold")
            with write_lock(tmp_path / "data" / "greenroom.db"):
                pending = threads.submit(writer.request, "CreateRoom")
                while not pending.running():
                    pass
                for _ in range(20):
                    assert api.request("GetRoom", identifier=room).status == 200
                client.say(Action="SEND_MESSAGE", Content="hello")
                assert client.read_json()["Content"] == "hello"
                assert not pending.done(), "the reads waited for the write"
            assert pending.result().status == 200
