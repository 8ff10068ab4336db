"""A request that was answered 2xx survives `kill -9` at any instant.

The real process is killed at random moments while threads create, update, tag and delete rooms and
logging configurations and use up chat tokens. After the restart each resource must be in the state
that was last acknowledged or, where a request got no answer, in that state or the next one, whole.

`DURABILITY_SEED` repeats a run's choices and `DURABILITY_ROUNDS` makes it longer.
"""

import contextlib
import itertools
import os
import random
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import Measured
from tests.running.said import until
from tests.running.service import Service, start
from tests.running.wire import PATIENCE, Answer, Api, Closed, WebSocket, api_of

ROUNDS = int(os.environ.get("DURABILITY_ROUNDS", "3"))
ACKNOWLEDGED = (200, 800)
"""How many answers a round waits for before it kills, at least and at most."""

UNLIMITED = {"GREENROOM_QUOTAS": "logging_configurations=0"}
PAGE = 50


class State(msgspec.Struct, frozen=True):
    """What a room or a logging configuration holds; each part is one request's whole effect."""

    version: int = 0
    tags: int | None = 0
    attached: tuple[str, ...] = ()


class Kept(msgspec.Struct, eq=False):
    """One resource, and the states in which it may be found: None is absent."""

    key: str
    allowed: list[State | None]
    arn: str = ""
    create_time: str = ""
    update_time: str = ""

    @property
    def state(self) -> State | None:
        """Return the state that was acknowledged last."""
        return self.allowed[0]

    def note(self, described: dict[str, Any]) -> None:
        """Remember what an answer said about the resource."""
        self.arn = described["arn"]
        self.create_time = described["createTime"]
        self.update_time = described["updateTime"]


class Token(msgspec.Struct, eq=False):
    """A chat token, and the statuses with which its next use may be answered."""

    text: str
    allowed: set[int]


class Ledger:
    """What was asked for and answered. Each resource belongs to one thread."""

    def __init__(self) -> None:
        self.rooms: dict[str, Kept] = {}
        self.configurations: dict[str, Kept] = {}
        self.tokens: list[Token] = []
        self.answers = 0
        self.goal = 0
        self.enough = threading.Event()
        self.killed = threading.Event()
        self._keys = itertools.count()

    def begin(self, goal: int) -> None:
        """Start a round that is long enough after so many more answers."""
        self.goal = self.answers + goal
        self.enough.clear()
        self.killed.clear()

    def born(self, resources: dict[str, Kept]) -> Kept:
        """Return a new resource, which is absent so far."""
        kept = Kept(f"key-{next(self._keys)}", [None])
        resources[kept.key] = kept
        return kept

    @contextlib.contextmanager
    def changing(self, kept: Kept, after: State | None) -> Iterator[None]:
        """Allow both states while a request is under way, and the new one once it is answered."""
        kept.allowed = [kept.state, after]
        yield
        kept.allowed = [after]
        self.acknowledge()

    def acknowledge(self) -> None:
        """Count an answer."""
        self.answers += 1
        if self.answers >= self.goal:
            self.enough.set()


# ---------------------------------------------------------------------------------------- load


def room_members(state: State) -> dict[str, Any]:
    """Return the parameters that make a room's version: two columns of one update."""
    return {"name": f"v{state.version}", "maximumMessageLength": 1 + state.version % 500}


def configuration_members(state: State) -> dict[str, Any]:
    """Return the parameters that make a configuration's version."""
    bucket = {"s3": {"bucketName": f"bucket-{state.version}"}}
    return {"name": f"v{state.version}", "destinationConfiguration": bucket}


def tag_members(state: State) -> dict[str, str]:
    """Return the tags that are set and taken away together."""
    return {} if state.tags is None else {"t": str(state.tags), "u": str(state.tags)}


class Worker:
    """What one thread does to its resources until the process is gone."""

    def __init__(self, service: Service, ledger: Ledger, seed: int) -> None:
        self.service = service
        self.ledger = ledger
        self.random = random.Random(seed)
        self.rooms: list[Kept] = []

    def run(self, work: "Callable[[Worker, Api], None]") -> None:
        """Repeat a piece of work until the connection breaks, which only a kill may do."""
        with api_of(self.service) as api:
            try:
                while True:
                    work(self, api)
            except (Closed, OSError):
                if not self.ledger.killed.is_set():
                    raise

    def create_room(self, api: Api) -> Kept:
        """Create a room with a tag that says which one it is."""
        kept, state = self.ledger.born(self.ledger.rooms), State()
        with self.ledger.changing(kept, state):
            tags = {"key": kept.key, **tag_members(state)}
            kept.note(api.call("CreateRoom", tags=tags, **room_members(state)))
        return kept

    def change_rooms(self, api: Api) -> None:
        """Create a room, or change one: update, tag, untag or delete it."""
        present = [room for room in self.rooms if room.state]
        if len(present) < 3 or self.random.random() < 0.2:
            self.rooms.append(self.create_room(api))
            return
        kept = self.random.choice(present)
        change = self.random.choice([update_room, update_room, tag_room, untag_room, delete_room])
        change(self.ledger, api, kept)

    def change_configurations(self, api: Api) -> None:
        """Take a configuration through its whole life, attached to a room in between."""
        ledger = self.ledger
        if not self.rooms:
            self.rooms.append(self.create_room(api))
        (room,) = self.rooms
        kept, state = ledger.born(ledger.configurations), State()
        with ledger.changing(kept, state):
            tags = {"key": kept.key, **tag_members(state)}
            members = configuration_members(state)
            kept.note(api.call("CreateLoggingConfiguration", tags=tags, **members))
        for _ in range(self.random.randrange(3)):
            update_configuration(ledger, api, kept)
        if self.random.random() < 0.5:
            attach(ledger, api, room, kept.arn)
            assert api.request("DeleteLoggingConfiguration", identifier=kept.arn).status == 409
        if self.random.random() < 0.7:
            attach(ledger, api, room)
            with ledger.changing(kept, None):
                api.call("DeleteLoggingConfiguration", identifier=kept.arn)

    def use_tokens(self, api: Api) -> None:
        """Connect with new tokens; leave some of them for later."""
        if not self.rooms:
            self.rooms.append(self.create_room(api))
        token = Token(api.token(self.rooms[0].arn), {101})
        self.ledger.tokens.append(token)
        if self.random.random() < 0.1:
            return
        token.allowed = {101, 409}
        with WebSocket(self.service) as client:
            assert client.upgrade(token.text).status == 101
            token.allowed = {409}
            self.ledger.acknowledge()


def update_room(ledger: Ledger, api: Api, kept: Kept) -> None:
    """Give the room its next version."""
    assert kept.state
    state = msgspec.structs.replace(kept.state, version=kept.state.version + 1)
    with ledger.changing(kept, state):
        kept.note(api.call("UpdateRoom", identifier=kept.arn, **room_members(state)))


def attach(ledger: Ledger, api: Api, kept: Kept, *configurations: str) -> None:
    """Give the room its logging configurations."""
    assert kept.state
    with ledger.changing(kept, msgspec.structs.replace(kept.state, attached=configurations)):
        answer = api.call(
            "UpdateRoom", identifier=kept.arn, loggingConfigurationIdentifiers=configurations
        )
        kept.note(answer)


def tag_room(ledger: Ledger, api: Api, kept: Kept) -> None:
    """Set both tags to the next number."""
    assert kept.state
    state = msgspec.structs.replace(kept.state, tags=(kept.state.tags or 0) + 1)
    with ledger.changing(kept, state):
        api.call("TagResource", resourceArn=kept.arn, tags=tag_members(state))


def untag_room(ledger: Ledger, api: Api, kept: Kept) -> None:
    """Take both tags away."""
    assert kept.state
    with ledger.changing(kept, msgspec.structs.replace(kept.state, tags=None)):
        api.call("UntagResource", resourceArn=kept.arn, tagKeys=["t", "u"])


def delete_room(ledger: Ledger, api: Api, kept: Kept) -> None:
    """Delete the room."""
    with ledger.changing(kept, None):
        api.call("DeleteRoom", identifier=kept.arn)


def update_configuration(ledger: Ledger, api: Api, kept: Kept) -> None:
    """Give the configuration its next version."""
    assert kept.state
    state = msgspec.structs.replace(kept.state, version=kept.state.version + 1)
    with ledger.changing(kept, state):
        members = configuration_members(state)
        kept.note(api.call("UpdateLoggingConfiguration", identifier=kept.arn, **members))


WORK = (
    *(Worker.change_rooms,) * 4,
    *(Worker.change_configurations,) * 3,
    *(Worker.use_tokens,) * 2,
)


def kill_under_load(service: Service, ledger: Ledger, chance: random.Random) -> None:
    """Let all threads work, and kill the process at a random moment."""
    ledger.begin(chance.randint(*ACKNOWLEDGED))
    with ThreadPoolExecutor(len(WORK)) as pool:
        runs = [
            pool.submit(Worker(service, ledger, chance.randrange(2**32)).run, work) for work in WORK
        ]
        try:
            assert ledger.enough.wait(PATIENCE), [run.exception() for run in runs if run.done()]
            # The answer just seen came right after a commit: the kill must not always.
            time.sleep(chance.uniform(0, 0.02))
        finally:
            ledger.killed.set()
            service.kill()
    for run in runs:
        run.result()


# ------------------------------------------------------------------------------------- verdict


def listed(api: Api, operation: str, member: str) -> dict[str, dict[str, Any]]:
    """Return all resources of a listing by their key."""
    resources: dict[str, dict[str, Any]] = {}
    following: dict[str, str] = {}
    while True:
        page = api.call(operation, maxResults=PAGE, **following)
        for each in page[member]:
            assert each["tags"]["key"] not in resources, "listed twice"
            resources[each["tags"]["key"]] = each
        if "nextToken" not in page:
            return resources
        following = {"nextToken": page["nextToken"]}


def state_of(described: dict[str, Any], members: Callable[[State], dict[str, Any]]) -> State:
    """Return the state that a description shows, which must be one that was asked for, whole."""
    tags = described["tags"]
    state = State(
        int(described["name"].removeprefix("v")),
        int(tags["t"]) if "t" in tags else None,
        tuple(described.get("loggingConfigurationIdentifiers", ())),
    )
    assert {**described, **members(state)} == described, "half an update"
    assert {**tags, **tag_members(state)} == tags, "half of the tags"
    assert ("t" in tags) is ("u" in tags), "half of the tags"
    return state


def check(
    kept: Kept, described: dict[str, Any] | None, members: Callable[[State], dict[str, Any]]
) -> None:
    """Compare a resource with what was acknowledged; what was found is the truth from now on."""
    found = state_of(described, members) if described else None
    assert found in kept.allowed, (kept, found)
    if described and kept.arn:
        assert described["arn"] == kept.arn
        assert described["createTime"] == kept.create_time
        assert described["updateTime"] >= kept.update_time
    kept.allowed = [found]
    if described:
        kept.note(described)


def check_rooms(api: Api, ledger: Ledger) -> None:
    """Compare all rooms, as listed and each for itself."""
    rooms = listed(api, "ListRooms", "rooms")
    assert rooms.keys() <= ledger.rooms.keys()
    for kept in ledger.rooms.values():
        arn = rooms[kept.key]["arn"] if kept.key in rooms else kept.arn
        answer = api.request("GetRoom", identifier=arn) if arn else Answer(404, {}, b"")
        assert answer.status == (200 if kept.key in rooms else 404), (kept, answer)
        described = answer.json if answer.status == 200 else None
        check(kept, described, room_members)


def check_configurations(api: Api, ledger: Ledger) -> None:
    """Compare all logging configurations, none of which is half-way anywhere."""
    found = listed(api, "ListLoggingConfigurations", "loggingConfigurations")
    assert found.keys() <= ledger.configurations.keys()
    assert {each["state"] for each in found.values()} <= {"ACTIVE"}
    for kept in ledger.configurations.values():
        check(kept, found.get(kept.key), configuration_members)


def check_tokens(service: Service, ledger: Ledger) -> None:
    """Use each token of the round again: a used one is refused, an unused one is good once."""
    for token in ledger.tokens:
        for allowed in (token.allowed, {409}):
            with WebSocket(service) as client:
                answer = client.upgrade(token.text)
                # On a very slow machine a token may have expired meanwhile.
                assert answer.status in allowed | {410}, answer
    ledger.tokens.clear()


def test_acknowledged_writes_survive_kill(tmp_path: Path, measured: Measured) -> None:
    """Whatever was answered is there after the restart, and nothing is there by half."""
    seed = int(os.environ.get("DURABILITY_SEED", secrets.randbelow(2**32)))
    chance, ledger, data = random.Random(seed), Ledger(), tmp_path / "data"
    service, number = start(data, **UNLIMITED), 0
    try:
        for number in range(ROUNDS):
            kill_under_load(service, ledger, chance)
            if number % 2:
                # Killed again as soon as it has picked up the pieces.
                start(data, **UNLIMITED).kill()
            service = start(data, **UNLIMITED)
            with api_of(service) as api:
                check_configurations(api, ledger)
                check_rooms(api, ledger)
                check_tokens(service, ledger)
    except BaseException as error:
        error.add_note(f"DURABILITY_SEED={seed}, round {number}\n{service.log.read_text()[-2000:]}")
        raise
    finally:
        service.kill()
    assert "crashed" not in service.log.read_text()
    measured("acknowledged_writes", ledger.answers)


def lose_log(data: Path) -> None:
    """Delete the log."""
    (data / "greenroom.db-wal").unlink()


def damage_log(data: Path) -> None:
    """Overwrite a page early in the log."""
    with (data / "greenroom.db-wal").open("r+b") as file:
        file.seek(5_000)
        file.write(b"\xa5" * 1_000)


def lose_database(data: Path) -> None:
    """Delete the database with its log: the key is left."""
    for path in data.glob("greenroom.db*"):
        path.unlink()


@pytest.mark.parametrize("lose", [lose_log, damage_log, lose_database])
def test_lost_writes_are_noticed(tmp_path: Path, lose: "Callable[[Path], None]") -> None:
    """A start that would roll acknowledged writes back is refused with one line, each time."""
    data = tmp_path / "data"
    service = start(data)
    with api_of(service) as api:
        for _ in range(3):
            api.room()
    service.kill()
    lose(data)
    service.log.unlink()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"greenroom\.db (lacks|would lose|is missing)"):
            start(data)
    assert service.log.read_text().count("\n") == 2


def test_a_message_whose_answer_was_never_read(tmp_path: Path) -> None:
    """A kill when it is stored, before anybody was answered: asked for again, it is there once."""
    data = tmp_path / "data"
    asked = {"userId": "bob", "content": "once", "requestId": "r1"}
    service = start(data)
    room = service.boto3().create_room(tags={"greenroom:history-messages": "9"})["arn"]
    with sqlite3.connect(f"file:{data}/greenroom.db?mode=ro", uri=True) as seen:
        stored = "SELECT count(*) FROM history WHERE action = 'SendMessage'"
        with ThreadPoolExecutor(1) as threads:
            send = service.greenroom().send_message
            answer = threads.submit(send, roomIdentifier=room, **asked)
            until(lambda: seen.execute(stored).fetchone()[0] == 1, "the message is stored")
            service.kill()
            first = answer.result()["id"] if answer.exception() is None else ""
    seen.close()
    service = start(data)
    client = service.greenroom()
    for _ in range(2):
        try:
            again = client.send_message(roomIdentifier=room, **asked)["id"]
        except client.exceptions.ConflictException:
            # "It is not known whether the message of this requestId was sent".
            again = ""
        assert again == first or not first
        (message,) = client.list_messages(roomIdentifier=room)["messages"]
        assert again in ("", message["id"])
    service.kill()
