"""Nodes of a cluster as processes: one room over several, and what happens when something is away.

Covers: greenroom.server.cluster, greenroom.server.restricting
"""

import asyncio
import contextlib
import gzip
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import websockets

from greenroom.chatlog.streamed import FINISHING_SECONDS
from scripts.servers.nats_server import NatsServer, nats_server
from scripts.servers.node import new_secrets_key
from scripts.servers.postgresql import PostgreSQL, postgresql
from tests.running.clock import MovedClock
from tests.running.cluster import Place, hear, nodes, place, say, status_of, viewers
from tests.running.said import assert_no_faults, entries, failing, samples, until
from tests.running.servers import fresh_account, fresh_database
from tests.running.service import Service, start
from tests.running.viewers import Seen
from tests.running.wire import PATIENCE

PAGE = Path(__file__).resolve().parents[2] / "docs/howto/when-postgresql-is-lost.md"


@pytest.fixture
def shared(tmp_path: Path, database: str, bus_url: str) -> Place:
    """Give the place of a cluster on servers of the session."""
    return place(tmp_path, database, bus_url)


@pytest.fixture
def two_to_kill(shared: Place) -> Iterator[list[Service]]:
    """Give two nodes of the test's own; in the end nothing has crashed."""
    with nodes(shared, 2) as services:
        yield services
        for service in services:
            assert_no_faults(service)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(
    tmp_path_factory: pytest.TempPathFactory,
    postgresql_newest: PostgreSQL,
    nats_r1: list[NatsServer],
) -> AsyncIterator[list[Service]]:
    """Give two nodes, which several tests share; in the end nothing has crashed."""
    directory = tmp_path_factory.mktemp("two")
    with fresh_database(postgresql_newest) as database:
        async with fresh_account(nats_r1) as bus:
            given = {
                "quotas": "requests_per_second.ListTagsForResource=1",
                "trusted_proxies": "127.0.0.0/8",
            }
            with nodes(place(directory, database, bus), 2, **given) as services:
                yield services
                for service in services:
                    assert_no_faults(service)


async def test_a_rate_is_one_over_nodes(two: list[Service]) -> None:
    """What was asked of one node counts on the other a moment later."""
    first, second = (service.boto3() for service in two)
    room = first.create_room()["arn"]
    # Nothing else asks for this; on a machine that is too slow it is allowed again by then.
    refused = False
    for _ in range(10):
        first.list_tags_for_resource(resourceArn=room)
        await asyncio.sleep(0.3)
        try:
            second.list_tags_for_resource(resourceArn=room)
        except second.exceptions.ThrottlingException:
            refused = True
            break
        await asyncio.sleep(3)
    assert refused, "each node has the whole rate"


async def test_one_request_sends_one_message(two: list[Service]) -> None:
    """However often both nodes are asked at the same time; all are answered the same."""
    room = two[0].boto3().create_room()["arn"]
    asked = {"roomIdentifier": room, "userId": "bot", "content": "once", "requestId": "r1"}
    async with viewers(two, room) as watching:
        clients = [service.greenroom() for service in two for _ in range(3)]
        answers = await asyncio.gather(
            *(asyncio.to_thread(client.send_message, **asked) for client in clients)
        )
        (message_id,) = {each["id"] for each in answers}
        await say(watching[0], "behind")
        for viewer in watching:
            heard = [await hear(viewer), await hear(viewer)]
            assert [each.content for each in heard] == ["once", "behind"]
            assert heard[0].id == message_id


async def test_a_scheduled_announcement_is_told_once(shared: Place, tmp_path: Path) -> None:
    """To all, by one of two nodes; and by the one that is left, to who wrote on it."""
    clock, minute = MovedClock(tmp_path / "moved"), 60_000_000_000
    with contextlib.ExitStack() as ending:
        two = []
        for name in ("node-1", "node-2"):
            variables = {**shared.variables(), **clock.variables}
            two.append(await asyncio.to_thread(start, tmp_path / name, **variables))
            ending.callback(two[-1].kill)
        room, own = two[0].boto3().create_room()["arn"], two[1].greenroom()
        rules = {"roomIdentifier": room, "name": "rules", "content": "Be kind"}
        own.put_announcement_schedule(**rules, everySeconds=60)
        async with viewers(two, room) as watching:
            await say(watching[0], "first")
            clock.move(minute)
            assert [(await hear(each)).content for each in watching] == ["first"] * 2
            assert [(await hear(each)).content for each in watching] == ["Be kind"] * 2
            await say(watching[1], "second")
            two[0].kill()
            clock.move(2 * minute)
            heard = [(await hear(watching[1])).content for _ in range(2)]
            await say(watching[1], "third")
            heard.append((await hear(watching[1])).content)
            assert heard == ["second", "Be kind", "third"]
        assert_no_faults(two[1])


async def test_a_room_is_one_over_nodes(two: list[Service]) -> None:
    """What is said on one node is shown on all, in one order, and each one's API knows the room."""
    room = two[0].boto3().create_room(name="one")["arn"]
    assert two[1].boto3().get_room(identifier=room)["name"] == "one"
    async with viewers(two, room) as watching:
        for number in range(6):
            await say(watching[number % 2], str(number))
        heard = [[(await hear(viewer)).id for _ in range(6)] for viewer in watching]
        assert heard[0] == heard[1]
        assert len(set(heard[0])) == 6
        two[1].boto3().send_event(roomIdentifier=room, eventName="goal")
        assert {(await hear(viewer)).event_name for viewer in watching} == {"goal"}


async def test_users_are_counted_over_nodes(two: list[Service]) -> None:
    """A second later each node knows all; who moves to another node is one user all the time."""
    room = two[0].boto3().create_room()["arn"]
    async with viewers(two, room) as watching:
        await counted(two, room, 2, 2)
        token = two[1].token(room, "user-0")
        moved = websockets.connect(two[1].websocket_url, subprotocols=[token])  # type: ignore[list-item]  # a token is one
        async with moved:
            await counted(two, room, 3, 2)
            await watching[0].close()
            await counted(two, room, 2, 2, always=True)
            # The grace of the one who left is over.
            await asyncio.sleep(2)
            await counted(two, room, 2, 2, always=True)
        listed = two[0].greenroom().list_room_states()["roomStates"]
        assert room in [each["roomIdentifier"] for each in listed]
        await counted(two, room, 1, 1)


async def test_users_are_known_by_name_over_nodes(two: list[Service]) -> None:
    """Nodes tell each other numbers: names are asked for, by a list and where they are shown."""
    room = two[0].boto3().create_room(tags={"greenroom:presence": "true"})["arn"]
    async with viewers(two, room):
        await counted(two, room, 2, 2)
        for service in two:
            listed = service.greenroom().list_users(roomIdentifier=room)["users"]
            assert [each["userId"] for each in listed] == ["user-0", "user-1"]
        token = two[0].token(room, "ann")
        joining = websockets.connect(
            f"{two[1].websocket_url}?events=on",
            subprotocols=[token],  # type: ignore[list-item]  # a token is one
        )
        known = set[str]()
        async with joining as ann, asyncio.timeout(10):
            while known != {"user-0", "user-1", "ann"}:
                event = json.loads(await ann.recv())
                if event["EventName"] == "greenroom:USERS":
                    known |= set(json.loads(event["Attributes"]["Joined"]))


async def test_a_command_names_a_user_of_another_node(two: list[Service]) -> None:
    """By the name by which he is shown; of two with that name nobody is meant, on either node."""
    room = two[0].boto3().create_room()["arn"]
    rights = ["SEND_MESSAGE", "greenroom:MODERATE"]
    tokens = [
        (two[1], two[1].token(room, "mod", capabilities=rights)),
        (two[0], two[0].token(room, "id-1", attributes={"displayName": "Bob"})),
        (two[1], two[1].token(room, "id-2", attributes={"username": "Bob"})),
    ]

    async def answer(moderator: Any, command: str) -> dict[str, Any]:
        asked = {"Action": "SEND_MESSAGE", "Content": command, "RequestId": command}
        await moderator.send(json.dumps(asked))
        async with asyncio.timeout(10):
            while True:
                frame: dict[str, Any] = json.loads(await moderator.recv())
                if frame["RequestId"] == command:
                    return frame

    async with contextlib.AsyncExitStack() as stack:
        moderator, _ = [
            await stack.enter_async_context(
                websockets.connect(service.websocket_url, subprotocols=[token])  # type: ignore[list-item]  # a token is one
            )
            for service, token in tokens[:2]
        ]
        assert (await answer(moderator, "/mute Bob"))["Content"].startswith("id-1: MUTE")
        service, token = tokens[2]
        joining = websockets.connect(service.websocket_url, subprotocols=[token])  # type: ignore[list-item]  # a token is one
        await stack.enter_async_context(joining)
        error = await answer(moderator, "/unmute Bob")
        assert error["ErrorCode"] == 400
        assert "id-1, id-2" in error["ErrorMessage"]


async def counted(
    services: list[Service], room: str, connections: int, users: int, *, always: bool = False
) -> None:
    """Wait until all nodes count so many; `always`: and never so many other users."""
    async with asyncio.timeout(10):
        for api in [service.greenroom() for service in services]:
            found = None
            while found != (connections, users):
                state = await asyncio.to_thread(api.get_room_state, roomIdentifier=room)
                found = state["connections"], state["users"]
                assert not always or state["users"] == users, found
                await asyncio.sleep(0.05)


async def test_a_token_opens_one_connection(two: list[Service]) -> None:
    """Of all nodes that are shown a token at the same time one lets it in."""
    room = two[0].boto3().create_room()["arn"]
    for _ in range(5):
        token = two[0].token(room)
        answers = await asyncio.gather(*(status_of(service, token) for service in two * 2))
        assert sorted(answers) == [101, 409, 409, 409]


async def test_what_is_decided_on_one_node_holds_on_all(two: list[Service]) -> None:
    """A kick, a changed limit, a deleted room, a suspended account: nobody waits for a cache."""
    first, second = (service.boto3() for service in two)
    room = first.create_room()["arn"]
    async with viewers(two, room) as watching:
        await say(watching[0], "hello")
        assert [(await hear(viewer)).content for viewer in watching] == ["hello", "hello"]
        first.update_room(identifier=room, maximumMessageLength=3)
        await _refused(watching[1], "longer", 413)
        second.disconnect_user(roomIdentifier=room, userId="user-0")
        async with asyncio.timeout(10):
            await watching[0].wait_closed()
        first.delete_room(identifier=room)
        await _refused(watching[1], "no", 404)


async def test_an_address_is_banned_on_all_nodes(two: list[Service]) -> None:
    """That which the user has on one of them, of whoever comes from there to either."""
    room = two[0].boto3().create_room()["arn"]

    def coming(service: Service, user: str, address: str) -> websockets.connect:
        return websockets.connect(
            service.websocket_url,
            subprotocols=[service.token(room, user)],  # type: ignore[list-item]  # a token is one
            additional_headers={"X-Forwarded-For": address},
        )

    home, away = "192.0.2.1", "192.0.2.2"
    async with (
        coming(two[0], "bob", home),
        coming(two[1], "alias", home) as alias,
        coming(two[1], "eve", away) as eve,
    ):
        asked = {"roomIdentifier": room, "userId": "bob", "alsoAddresses": True}
        made = await asyncio.to_thread(lambda: two[1].greenroom().ban_user(**asked))
        assert len(made["restriction"]["addresses"]) == 1
        await asyncio.wait_for(alias.wait_closed(), 10)
        for service in two:
            with pytest.raises(websockets.InvalidStatus, match="403"):
                await coming(service, "other", home)
        await say(eve, "still here")
        lift = {"roomIdentifier": room, "userId": "bob", "kind": "BAN"}
        await asyncio.to_thread(lambda: two[0].greenroom().lift_restriction(**lift))
        async with coming(two[0], "other", home):
            pass


async def test_a_moderator_on_another_node_is_for_the_api(two: list[Service]) -> None:
    """Nobody restricts him from the room, as soon as it is known: that takes a second."""
    room = two[0].boto3().create_room()["arn"]
    async with viewers(two, room, capabilities=["SEND_MESSAGE", "greenroom:MODERATE"]) as watching:
        await counted(two, room, 2, 2)
        mute = {"Action": "greenroom:RESTRICT", "Kind": "MUTE", "UserId": "user-1"}
        await watching[0].send(json.dumps(mute))
        refused = await hear(watching[0])
        assert (refused.error_code, refused.error_message) == (
            403,
            "Who may moderate is restricted by the API only",
        )
        await watching[0].send(json.dumps({**mute, "UserId": "bob"}))
        assert (await hear(watching[0])).event_name == "greenroom:DONE"


async def test_who_subscribes_may_write_on_all_nodes(two: list[Service]) -> None:
    """As soon as the API has said so on one of them; a reconnect with a token from before, too."""
    room = two[0].boto3().create_room(tags={"greenroom:writers": "subscriber"})["arn"]
    old = two[1].token(room, "user-1")
    async with viewers(two, room) as (_, viewer):
        await _refused(viewer, "too early", 403)
        said = {"roomIdentifier": room, "userId": "user-1", "roles": ["subscriber"]}
        await asyncio.to_thread(lambda: two[0].greenroom().update_user(**said))
        heard = await _written(viewer, "a subscriber's")
        assert heard.content == "a subscriber's"
    joining = websockets.connect(two[1].websocket_url, subprotocols=[old])  # type: ignore[list-item]  # a token is one
    async with joining as viewer:
        await say(viewer, "again")
        assert (await hear(viewer)).content == "again"


async def _written(viewer: websockets.ClientConnection, content: str) -> Seen:
    """Say something until it is shown: what another node has decided takes milliseconds."""
    async with asyncio.timeout(10):
        while True:
            await say(viewer, content)
            heard = await hear(viewer)
            if heard.type == "MESSAGE":
                return heard


async def _refused(viewer: websockets.ClientConnection, content: str, code: int) -> None:
    """Send until it is refused with a code: another node hears of it milliseconds later."""
    async with asyncio.timeout(10):
        while True:
            await say(viewer, content)
            while (frame := await hear(viewer)).type == "EVENT":
                pass
            if frame.error_code == code:
                return


async def test_connections_count_over_nodes(shared: Place) -> None:
    """A bound of the room is one of all nodes together, and a node that dies is forgotten."""
    with nodes(shared, 2, connections_per_room="1") as services:
        room = services[0].boto3().create_room()["arn"]
        async with viewers(services[:1], room):
            await _until(lambda: samples(services[1])["greenroom_nodes"] == 2)
            # The count of another node is a second old at most.
            await _until(lambda: _joins(services[1], room) == 429)
        services[0].kill()
        await _until(lambda: _joins(services[1], room) == 101)


def _joins(service: Service, room: str) -> int:
    return asyncio.run(status_of(service, service.token(room)))


async def test_a_node_that_dies(two_to_kill: list[Service]) -> None:
    """Who was elsewhere notices nothing, and what was acknowledged has been seen."""
    two = two_to_kill
    room = two[1].boto3().create_room()["arn"]
    async with viewers(two, room) as watching:
        await say(watching[0], "before")
        assert (await hear(watching[1])).content == "before"
        await counted(two[1:], room, 2, 2)
        two[0].kill()
        await say(watching[1], "after")
        assert (await hear(watching[1])).content == "after"
        await counted(two[1:], room, 1, 1)
        assert two[1].boto3().list_rooms()["rooms"]


async def test_chat_logs(two: list[Service]) -> None:
    """What is said anywhere is on record once, in the room's order."""
    first = two[0].boto3()
    target = {"cloudWatchLogs": {"logGroupName": "group"}}
    configuration = first.create_logging_configuration(destinationConfiguration=target)["arn"]
    room = first.create_room(loggingConfigurationIdentifiers=[configuration])["arn"]
    async with viewers(two, room) as watching:
        for number in range(10):
            await say(watching[number % 2], str(number))
        shown = [(await hear(watching[0])).id for _ in range(10)]
    directory = Path(str(two[0].ready["data_dir"])).parent / "chat-logs"
    await _until(lambda: len(_recorded(directory)) >= len(shown))
    assert _recorded(directory) == shown


async def test_chat_logs_of_a_node_that_dies(shared: Place) -> None:
    """What was seen is on record once, whichever node read and delivered it; then it can go."""
    directory = shared.directory / "chat-logs"
    with nodes(shared, 2, chat_log_batch_seconds="1") as services:
        second = services[1].boto3()
        target = {"cloudWatchLogs": {"logGroupName": "group"}}
        configuration = second.create_logging_configuration(destinationConfiguration=target)["arn"]
        room = second.create_room(loggingConfigurationIdentifiers=[configuration])["arn"]
        async with viewers(services, room) as watching:
            for number in range(10):
                await say(watching[number % 2], str(number))
            await _until(lambda: _recorded(directory))
            services[0].kill()
            await asyncio.sleep(1)
            for number in range(10):
                await say(watching[1], str(number))
            frames = [await hear(watching[1]) for _ in range(20)]
        assert {frame.type for frame in frames} == {"MESSAGE"}
        second.update_room(identifier=room, loggingConfigurationIdentifiers=[])
        second.delete_logging_configuration(identifier=configuration)
        # Who reads the dead node's streams may come too late for the call; then it is done later.
        await asyncio.to_thread(
            until,
            lambda: not second.list_logging_configurations()["loggingConfigurations"],
            "it is gone",
            PATIENCE + FINISHING_SECONDS,
        )
        assert sorted(_recorded(directory)) == sorted(frame.id for frame in frames)
        assert_no_faults(services[1])


def _recorded(directory: Path) -> list[str]:
    """Return the ids of what is on record, in the order of the files."""
    files = sorted(path for path in directory.rglob("*.gz") if path.is_file())
    text = b"".join(gzip.decompress(path.read_bytes()) for path in files)
    return re.findall(r'"Id":"([^"]+)"', text.decode())


async def _until(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(until, condition, "what is waited for")


# ------------------------------------------------------------------ servers that are away


@pytest.fixture
def own_database() -> Iterator[PostgreSQL]:
    """Give a PostgreSQL that the test may kill."""
    with postgresql() as server:
        yield server


@pytest.fixture
def own_bus(tmp_path: Path) -> Iterator[NatsServer]:
    """Give a NATS that the test may kill."""
    with nats_server(tmp_path / "nats") as server:
        yield server


async def test_without_postgresql(tmp_path: Path, own_database: PostgreSQL, bus_url: str) -> None:
    """Rooms chat on, joins and the API get 503, the health says so; all heals by itself.

    The page about it has the words of log and health.
    """
    there = place(tmp_path, own_database.create_database("rooms"), bus_url)
    with nodes(there, 2) as services:
        room = services[0].boto3().create_room()["arn"]
        async with viewers(services, room) as watching:
            token = services[1].token(room)
            await say(watching[0], "one")
            own_database.kill()
            assert (await hear(watching[1])).content == "one"
            await _until(lambda: "store" in failing(services[0]))
            assert "rooms that this node knows chat on" in failing(services[0])["store"]
            await say(watching[1], "two")
            assert (await hear(watching[1])).content == "two"
            assert await status_of(services[1], token) == 503
            own_database.start()
            await _until(lambda: not failing(services[0]) and not failing(services[1]))
            assert await status_of(services[1], token) == 101
        text = " ".join(PAGE.read_text().split())
        for line in ("store cannot answer", "store answers again"):
            assert entries(services[1], line)
            assert f"`{line}`" in text
        assert "`store`: rooms that this node knows chat on" in text
        for service in services:
            assert_no_faults(service)


async def test_without_nats(tmp_path: Path, database: str, own_bus: NatsServer) -> None:
    """The API and joins go on, what is sent is refused with 503; all heals by itself."""
    with nodes(place(tmp_path, database, own_bus.url), 2) as services:
        room = services[0].boto3().create_room()["arn"]
        async with viewers(services, room) as watching:
            await say(watching[0], "one")
            assert [(await hear(viewer)).content for viewer in watching] == ["one", "one"]
            own_bus.kill()
            await _until(lambda: "bus" in failing(services[0]))
            assert "the API and joins go on" in failing(services[0])["bus"]
            assert samples(services[0])["greenroom_bus_connected"] == 0
            assert services[1].boto3().get_room(identifier=room)["arn"] == room
            assert await status_of(services[0], services[0].token(room)) == 101
            await say(watching[0], "two")
            assert (await hear(watching[0])).error_code == 503
            own_bus.start()
            await _until(lambda: not failing(services[0]) and not failing(services[1]))
            await say(watching[0], "three")
            assert [(await hear(viewer)).content for viewer in watching] == ["three", "three"]
        for service in services:
            assert_no_faults(service)


async def test_a_takeover(shared: Place, two_to_kill: list[Service]) -> None:
    """A node is replaced without a refused connection, and the others notice nothing.

    One that cannot take over is refused before the running one lets go.
    """
    two = two_to_kill
    room = two[0].boto3().create_room()["arn"]
    port = two[0].api_url.rpartition(":")[2]
    wrong = pytest.raises(RuntimeError, match="were sealed with another key")
    async with viewers(two[1:], room) as watching:
        with wrong:
            await asyncio.to_thread(
                shared.node, "node-1", "--takeover", secrets_key=new_secrets_key()
            )
        assert await status_of(two[0], two[0].token(room)) == 101
        after = await asyncio.to_thread(shared.node, "node-1", "--takeover")
        assert after.api_url.rpartition(":")[2] == port
        assert await asyncio.to_thread(two[0].process.wait, 20) == 0
        two[0] = after
        after.boto3().send_event(roomIdentifier=room, eventName="goal")
        assert (await hear(watching[0])).event_name == "goal"
        assert await status_of(after, after.token(room)) == 101
