"""The streams: made once, looked at by every node, and told by name where they are others."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence

import msgspec
import nats
import pytest
from nats.aio.client import Client

from greenroom.bus.base import BusRefused
from greenroom.bus.nats import headers, provided
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.connection import Connection, NoAnswer, Options
from greenroom.bus.nats.provided import differences, provide, provide_again, streams
from greenroom.bus.nats.stored import NO_STREAM
from scripts.servers.nats_server import NatsServer
from tests.running.buses import SMALL, buses_at, until
from tests.running.servers import fresh_account


async def api(client: Client, subject: str, question: Mapping[str, object]) -> dict[str, object]:
    """Ask JetStream."""
    answer = await client.request("$JS.API." + subject, json.dumps(question).encode(), timeout=5)
    found: dict[str, object] = json.loads(answer.data)
    return found


async def test_many_nodes_at_once(bus_url: str) -> None:
    """Whoever is first makes them; the others find what they want."""
    async with buses_at(bus_url, 5) as buses:
        states = [await buses[0].streams.state(number) for number in range(16)]
        assert all((state.first, state.last) == (1, 0) for state in states)


async def test_replicas_where_there_are_servers(nats_r3: list[NatsServer]) -> None:
    """Three, without a word; as many as were asked for otherwise."""
    for asked, expected in ((None, 3), (1, 1)):
        async with fresh_account(nats_r3) as url:
            options = Options(servers=url.split(","), replicas=asked, stream_bytes=SMALL)
            bus = await NatsBus.open(options)
            client = await nats.connect(url.split(","))
            info = await api(client, "STREAM.INFO.ROOMS_07", {})
            config = info["config"]
            assert isinstance(config, dict)
            assert config["num_replicas"] == expected
            await client.close()
            await bus.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"storage": "memory"}, 'storage is "memory", not "file"'),
        ({"max_age": 60 * 10**9}, "max_age is 60000000000, not 3600000000000"),
        ({"allow_direct": False}, "allow_direct is"),
        ({"max_msgs_per_subject": 5}, "max_msgs_per_subject is 5, not -1"),
        ({"republish": None}, "republish is missing"),
        ({"subjects": ["gr.07.*", "more"]}, 'subjects is ["gr.07.*","more"]'),
    ],
)
async def test_a_stream_of_somebody_else(
    change: Mapping[str, object], told: str, bus_url: str
) -> None:
    """It is refused, and what it does otherwise is told."""
    options = Options(servers=bus_url.split(","), stream_bytes=SMALL)
    client = await nats.connect(bus_url.split(","))
    made = await api(client, "STREAM.CREATE.ROOMS_07", {**streams(options, 1)[7], **change})
    assert "error" not in made, made
    await client.close()
    with pytest.raises(BusRefused) as refused:
        await NatsBus.open(options)
    assert "the stream ROOMS_07 was made otherwise" in str(refused.value)
    assert told in str(refused.value)


async def test_a_stream_in_the_way(bus_url: str) -> None:
    """One that has our subjects under another name is named as the reason."""
    client = await nats.connect(bus_url.split(","))
    await api(client, "STREAM.CREATE.THEIRS", {"name": "THEIRS", "subjects": ["gr.>"]})
    await client.close()
    with pytest.raises(BusRefused, match="another stream has subjects of this service"):
        await NatsBus.open(Options(servers=bus_url.split(",")))


async def test_more_replicas_than_servers(bus_url: str) -> None:
    """A single server keeps no copies, and says so."""
    options = Options(servers=bus_url.split(","), replicas=3, stream_bytes=SMALL)
    with pytest.raises(BusRefused, match="one server keeps no replicas"):
        await NatsBus.open(options)


async def test_too_little_storage(bus_url: str) -> None:
    """Streams that may grow beyond the disk are refused by name."""
    options = Options(servers=bus_url.split(","), stream_bytes=1 << 55)
    with pytest.raises(BusRefused, match="too little storage"):
        await NatsBus.open(options)


def test_what_an_operator_may_change() -> None:
    """Size and more replicas are his; fewer than were asked for are not."""
    (want, *_) = streams(Options(servers=[], replicas=3), 3)
    assert differences(want, {**want, "max_bytes": 5, "num_replicas": 5}, replicas=True) == []
    fewer = {**want, "num_replicas": 1}
    assert differences(want, fewer, replicas=True) == ["num_replicas is 1, not 3"]
    assert differences(want, fewer, replicas=False) == []
    assert differences(want, {**want, "mirror": {"name": "x"}}, replicas=True) == ["mirror is set"]


async def test_streams_that_were_deleted_are_made_again(bus_url: str) -> None:
    """When the connection comes back, so do they."""
    async with buses_at(bus_url, 1) as (bus,):
        await bus.start()
        client = await nats.connect(bus_url.split(","))
        for name in ("CONTROL", "ROOMS_08"):
            await api(client, f"STREAM.DELETE.{name}", {})
        await client.close()
        resets: list[int] = []
        bus.on_reset(lambda: resets.append(1))
        await bus.end_connection()
        await until(lambda: resets)
        assert (await bus.streams.state(8)).last == 0


class Deaf(Connection):
    """A connection on which nobody answers for some streams."""

    def __init__(self, silent: Sequence[str], error: Exception) -> None:
        self.servers = 1
        self.copies = 0
        self._silent = silent
        self._error = error

    async def request(self, subject: str, data: bytes, seconds: float) -> tuple[bytes, bytes]:
        name = subject.rpartition(".")[2]
        if name in self._silent:
            raise self._error
        config = next(each for each in streams(OPTIONS, 1) if each["name"] == name)
        return b"", msgspec.json.encode({"config": config, "ts": headers.written(5 * 10**9)})


OPTIONS = Options(servers=[])


async def test_a_stream_without_a_leader_holds_up_only_itself() -> None:
    """Over a later connection its clock is what it was; the first connection waits for all."""
    before = [7] * 17
    deaf = Deaf(["ROOMS_03", "CONTROL"], NoAnswer("nobody"))
    found = await provide_again(deaf, OPTIONS, lambda: 10**9, before)
    assert [number for number, ahead in enumerate(found) if ahead == 7] == [3, 16]
    assert found.count(4 * 10**9) == 15
    assert deaf.copies == 1
    with pytest.raises(NoAnswer):
        await provide(deaf, OPTIONS, lambda: 0)


async def test_a_later_connection_that_is_of_no_use() -> None:
    """Where no stream can be asked, or one does something else now, it is given up."""
    names = [str(each["name"]) for each in streams(OPTIONS, 1)]
    with pytest.raises(NoAnswer, match="no leader"):
        await provide_again(Deaf(names, NoAnswer("nobody")), OPTIONS, lambda: 0, [0] * 17)
    refused = BusRefused("made otherwise")
    with pytest.raises(BusRefused, match="otherwise"):
        await provide_again(Deaf(["ROOMS_00"], refused), OPTIONS, lambda: 0, [0] * 17)


class Api(Connection):
    """JetStream's API, which answers of each stream in turn what the test says, then that it is."""

    def __init__(self, servers: int = 1, **answers: Sequence[Mapping[str, object]]) -> None:
        self.servers, self.copies = servers, 0
        self.answers = {name: list(given) for name, given in answers.items()}
        self.asked: list[str] = []

    async def request(self, subject: str, data: bytes, seconds: float) -> tuple[bytes, bytes]:
        name = subject.rpartition(".")[2]
        if self.answers.get(name):
            self.asked.append(subject.removeprefix("$JS.API."))
            return b"", msgspec.json.encode(self.answers[name].pop(0))
        config = next(each for each in streams(OPTIONS, self.servers) if each["name"] == name)
        return b"", msgspec.json.encode({"config": config, "ts": headers.written(5 * 10**9)})


def failing(code: int, said: str = "said") -> dict[str, object]:
    """Return an answer that is an error."""
    return {"error": {"err_code": code, "description": said}}


def steady(*times: int) -> Callable[[], int]:
    """Return a clock that shows these times in turns."""
    turns = itertools.cycle(times)
    return lambda: next(turns)


async def test_how_far_clocks_are_ahead() -> None:
    """What a leader's showed was at some time while it was asked: the middle of that is taken."""
    api = Api(ROOMS_01=[{"config": streams(OPTIONS, 1)[1]}])
    found = await provide(api, OPTIONS, lambda: 10**9)
    assert found == [4 * 10**9, -(10**9), *[4 * 10**9] * 15]
    (want,) = (each for each in streams(OPTIONS, 1) if each["name"] == "ROOMS_02")
    answer, ahead = await provided._info(Api(), str(want["name"]), steady(1 * 10**9, 4 * 10**9))
    assert (answer.config, ahead) == (want, 25 * 10**8)


@pytest.mark.parametrize("faster", [False, True])
async def test_a_stream_that_is_missing_is_made(faster: bool) -> None:
    """Or another node was faster; then it is looked at again."""
    none, made = failing(NO_STREAM), failing(provided.NAME_TAKEN) if faster else {}
    api = Api(ROOMS_05=[none, made])
    assert len(await provide(api, OPTIONS, lambda: 0)) == 17
    assert api.asked == ["STREAM.INFO.ROOMS_05", "STREAM.CREATE.ROOMS_05"]


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([failing(NO_STREAM), failing(1, "no room")], "ROOMS_05 is not made: no room"),
        ([failing(NO_STREAM), {}, failing(1, "no leader")], "ROOMS_05 is not ready: no leader"),
        ([failing(1, "no leader")], "ROOMS_05 is not ready: no leader"),
    ],
)
async def test_a_stream_that_is_not_there_yet(
    answers: Sequence[Mapping[str, object]], said: str
) -> None:
    """It is told which, and why: the start waits for it."""
    with pytest.raises(NoAnswer, match=said):
        await provide(Api(ROOMS_05=answers), OPTIONS, lambda: 0)


@pytest.mark.parametrize("code", provided.FINAL)
async def test_what_no_waiting_heals(code: int) -> None:
    """It is refused at once, in our words."""
    with pytest.raises(BusRefused) as refused:
        await provide(Api(ROOMS_05=[failing(code)]), OPTIONS, lambda: 0)
    assert str(refused.value) == provided.FINAL[code]


async def test_looking_makes_nothing() -> None:
    """Those that are missing are named; one that is otherwise is refused."""
    api = Api(ROOMS_02=[failing(NO_STREAM)], CONTROL=[failing(NO_STREAM)])
    assert await provided.look(api, OPTIONS) == ["ROOMS_02", "CONTROL"]
    assert api.asked == ["STREAM.INFO.ROOMS_02", "STREAM.INFO.CONTROL"]
    other = {"config": {**streams(OPTIONS, 1)[4], "storage": "memory"}}
    with pytest.raises(BusRefused, match="ROOMS_04 was made otherwise: storage is"):
        await provided.look(Api(ROOMS_04=[other]), OPTIONS)


@pytest.mark.parametrize(("servers", "copies"), [(1, 1), (2, 1), (3, 3), (5, 3)])
async def test_how_many_copies(servers: int, copies: int) -> None:
    """As many as there are servers for, unless that is told; the most of any stream is known."""
    assert {each["num_replicas"] for each in streams(OPTIONS, servers)} == {copies}
    assert {each["num_replicas"] for each in streams(Options(servers=[], replicas=2), 5)} == {2}
    api = Api(servers)
    await provide(api, OPTIONS, lambda: 0)
    assert api.copies == copies


def test_what_must_be_as_it_is() -> None:
    """A bound that is not named is none; what a server adds to a part is no difference."""
    (want, *_) = streams(OPTIONS, 1)
    without = {name: value for name, value in want.items() if name not in ("max_msgs", "name")}
    assert differences(want, without, replicas=False) == []
    republish = {"src": "gr.00.*", "dest": "gd.00.{{wildcard(1)}}", "headers_only": False}
    assert differences(want, {**want, "republish": republish}, replicas=False) == []
    told = differences(
        want, {**want, "republish": {**republish, "headers_only": True}}, replicas=False
    )
    assert told[0].startswith("republish is ")
    assert differences(want, {**want, "num_replicas": "x"}, replicas=True) == [
        'num_replicas is "x", not 1'
    ]
    less = {name: value for name, value in want.items() if name != "max_age"}
    assert differences(want, less, replicas=False) == ["max_age is missing, not 3600000000000"]
