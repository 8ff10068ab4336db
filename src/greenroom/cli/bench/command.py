"""`greenroom bench`: what viewers of a running service would see of it.

Nothing is measured that the room's or a connection's limits would refuse: such a rate is refused
before anybody connects.
"""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict, Unpack

import click
import msgspec

from greenroom.cli.access import ClientKey
from greenroom.cli.api import Api, Endpoint
from greenroom.cli.bench.plan import MeasuredRoom, Plan, check_files, check_room_rate, plan_of
from greenroom.cli.bench.result import Result
from greenroom.cli.bench.run import Measurement
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.private_server import private_server
from greenroom.cli.progress import Progress, shown_progress
from greenroom.cli.reaching import WHICH, Reached, reach, refusals_told, which_service
from greenroom.cli.room.service import Rooms
from greenroom.model.arn import Arn, ResourceType
from greenroom.process.event_loop import allow_files, loop_factory

SELF_SETTINGS = {"room_message_rates": "off", "request_rates": "off"}
"""What differs from the defaults in the service that `--self` starts."""


def _room(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    if text is not None and text.startswith("arn:"):
        try:
            of_room = Arn.parse(text).type is ResourceType.ROOM
        except ValueError:
            of_room = False
        if not of_room:
            raise click.BadParameter("must be the name, the id or the ARN of a room")
    return text


class _Options(TypedDict):
    connections: int
    rate: float
    duration: float
    publishers: int | None
    data_dir: str | None
    config_file: str | None
    endpoint_url: str | None
    profile: str | None
    region: str | None


@click.command()
@click.argument("room", required=False, callback=_room)
@click.option("--self", "private", is_flag=True, help="Measure a service started for this alone.")
@click.option("--connections", type=click.IntRange(1, 50_000), default=100, help="Clients.  [100]")
@click.option(
    "--rate", type=click.FloatRange(0.01, 10_000), default=10.0, help="Messages a second.  [10]"
)
@click.option("--duration", type=click.FloatRange(0.1, 10_000), default=10.0, help="Seconds.  [10]")
@click.option(
    "--publishers",
    type=click.IntRange(1),
    help="Clients that also send.  [one for 5 messages a second]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, nothing else.")
@which_service
def bench(room: str | None, *, private: bool, as_json: bool, **options: Unpack[_Options]) -> None:
    """Measure what the clients of a room would see.

    Ctrl-C ends early with the result so far. The exit code is 0 only if every message came to every
    client, once and in order.
    """
    which = {name: value for name, value in options.items() if name in WHICH}
    if private == (room is not None):
        raise click.UsageError("give either a ROOM or --self")
    if private and options["endpoint_url"] is not None:
        raise click.UsageError("--self has its own endpoint: leave --url out")
    # Leaving as if by an exception ends what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    progress = shown_progress(quiet=as_json)
    with refusals_told():
        plan = plan_of(
            options["connections"], options["rate"], options["duration"], options["publishers"]
        )
        check_files(plan.connections, allow_files())
        if room is None:
            result = _measure_private(plan, options["region"], progress)
        else:
            result = _measure_room(plan, room, reach(which), progress)
    click.echo(result.to_json() if as_json else result.to_text())
    sys.exit(ExitCode.OK if result.exact else ExitCode.NOT_EXACT)


def _measure_private(plan: Plan, region: str | None, progress: Progress) -> Result:
    with private_server(SELF_SETTINGS) as server:
        key = ClientKey(server.access_key_id, server.secret_access_key)
        with _api(Endpoint.parse(server.api_url), key, region or server.region) as api:
            created = api.call("CreateRoom", name="greenroom-bench")
            return _run(plan.in_room(msgspec.convert(created, MeasuredRoom)), api, progress)


def _measure_room(plan: Plan, room: str, reached: Reached, progress: Progress) -> Result:
    region = Arn.parse(room).region if room.startswith("arn:") else reached.region
    with _api(reached.endpoint, reached.key, region) as api:
        members = api.call("GetRoom", identifier=Rooms(api, region).find(room))
        found = msgspec.convert(members, MeasuredRoom)
        check_room_rate(plan.rate, found)
        return _run(plan.in_room(found), api, progress)


@contextmanager
def _api(endpoint: Endpoint, key: ClientKey, region: str) -> Iterator[Api]:
    api = Api(endpoint, key, region)
    try:
        yield api
    finally:
        api.close()


def _run(plan: Plan, api: Api, progress: Progress) -> Result:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            return runner.run(_interruptible(Measurement(plan, api, progress)))
        except asyncio.CancelledError:
            sys.exit(128 + signal.SIGINT)


async def _interruptible(measurement: Measurement) -> Result:
    """Measure; the first Ctrl-C ends early with a result, the second one without."""
    loop = asyncio.get_running_loop()
    measuring = loop.create_task(measurement.run())
    stops = 0

    def stop() -> None:
        nonlocal stops
        stops += 1
        measurement.stop() if stops == 1 else measuring.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return await measuring
