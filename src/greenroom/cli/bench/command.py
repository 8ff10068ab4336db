"""`greenroom bench`: what viewers of a running service would see of it.

Nothing is measured that the room's or a connection's limits would refuse: such a rate is refused
before anybody connects.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypedDict, Unpack

import click
import msgspec

from greenroom.cli.access import ClientKey, CommandRefused
from greenroom.cli.api import Api, Endpoint
from greenroom.cli.bench.plan import MeasuredRoom, Plan, check_files, check_room_rate, plan_of
from greenroom.cli.bench.result import Result
from greenroom.cli.bench.run import Measurement, Progress
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.options import ending, fail
from greenroom.cli.private_server import private_server
from greenroom.cli.reaching import reach
from greenroom.model.arn import Arn, ResourceType
from greenroom.process.event_loop import allow_files, loop_factory
from greenroom.settings.values import SettingsRefused

SELF_SETTINGS = {"room_message_rates": "off", "request_rates": "off"}
"""What differs from the defaults in the service that `--self` starts."""


def _endpoint(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
    try:
        return None if url is None else Endpoint.parse(url).url
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _room(_context: click.Context, _option: click.Parameter, text: str | None) -> Arn | None:
    try:
        arn = None if text is None else Arn.parse(text)
    except ValueError:
        raise click.BadParameter("must be the ARN of a room") from None
    if arn is not None and arn.type is not ResourceType.ROOM:
        raise click.BadParameter("must be the ARN of a room")
    return arn


class _Load(TypedDict):
    connections: int
    rate: float
    duration: float
    publishers: int | None


@click.command()
@click.argument("room", metavar="[ROOM_ARN]", required=False, callback=_room)
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
@click.option("--data-dir", help="Data directory of the service: its address and key are used.")
@click.option("--endpoint-url", callback=_endpoint, help="Where the service is.  [this machine]")
@click.option("--region", help="Region to sign requests for.  [the room's]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, nothing else.")
def bench(
    room: Arn | None,
    endpoint_url: str | None,
    region: str | None,
    data_dir: str | None,
    *,
    private: bool,
    as_json: bool,
    **load: Unpack[_Load],
) -> None:
    """Measure what the clients of a room would see.

    The service and the access key are found as by `greenroom admin`. Ctrl-C ends early with the
    result so far. The exit code is 0 only if every message came to every client, once and in order.
    """
    if private == (room is not None):
        raise click.UsageError("give either a ROOM_ARN or --self")
    if private and endpoint_url is not None:
        raise click.UsageError("--self has its own endpoint: leave --endpoint-url out")
    # Leaving as if by an exception ends what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    progress = _bar if sys.stderr.isatty() and not as_json else _no_bar
    try:
        plan = plan_of(**load)
        check_files(plan.connections, allow_files())
        if room is None:
            result = _measure_private(plan, region, progress)
        else:
            _, endpoint, key = reach({"data_dir": data_dir, "endpoint_url": endpoint_url})
            with _api(endpoint, key, region or room.region) as api:
                result = _measure_room(plan, str(room), api, progress)
    except CommandRefused as refused:
        raise ending(refused, refused.code) from None
    except SettingsRefused as refused:
        raise fail(refused) from None
    click.echo(result.to_json() if as_json else result.to_text())
    sys.exit(ExitCode.OK if result.exact else ExitCode.NOT_EXACT)


def _measure_private(plan: Plan, region: str | None, progress: Progress) -> Result:
    with private_server(SELF_SETTINGS) as server:
        key = ClientKey(server.access_key_id, server.secret_access_key)
        with _api(Endpoint.parse(server.api_url), key, region or server.region) as api:
            created = api.call("CreateRoom", name="greenroom-bench")
            return _run(plan.in_room(msgspec.convert(created, MeasuredRoom)), api, progress)


def _measure_room(plan: Plan, room: str, api: Api, progress: Progress) -> Result:
    found = msgspec.convert(api.call("GetRoom", identifier=room), MeasuredRoom)
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


@contextmanager
def _bar(label: str, steps: int) -> Iterator[Callable[[int], None]]:
    with click.progressbar(length=steps, label=f"{label:10}", file=sys.stderr) as bar:
        yield bar.update


@contextmanager
def _no_bar(_label: str, _steps: int) -> Iterator[Callable[[int], None]]:
    yield lambda _: None
