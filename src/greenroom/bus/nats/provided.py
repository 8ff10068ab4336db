"""The streams that the nodes share: made by the first of them, looked at by every one.

A stream that somebody else made, or changed, is used only if it does what is relied on here; what
differs is told by name. Its replicas and its size are the operator's to raise.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from greenroom.bus.base import BusRefused
from greenroom.bus.nats import headers, subjects
from greenroom.bus.nats.connection import Connection, NoAnswer, Options
from greenroom.bus.nats.stored import NO_STREAM, ask_for
from greenroom.bus.streams import KEPT_SECONDS

REPLICAS = 3
"""Copies of each stream where there are servers for as many."""

CONTROL_BYTES = 64 << 20

NAME_TAKEN = 10058
FINAL = {
    10039: "JetStream is not enabled for this account",
    10076: "JetStream is not enabled",
    10047: "JetStream has too little storage for the streams, which may take bus_stream_bytes each",
    10065: "another stream has subjects of this service: it is not to be used with this account",
    10074: "one server keeps no replicas: give bus_replicas = 1, or the URLs of a cluster",
}
"""Errors that no waiting heals."""

Config = Mapping[str, object]


class _Error(msgspec.Struct):
    err_code: int = -1
    description: str = ""


class _Answer(msgspec.Struct):
    """What JetStream's API answers about a stream; the configuration is compared as it is."""

    config: dict[str, object] | None = None
    ts: str = ""
    error: _Error | None = None

    @property
    def code(self) -> int:
        """Return the number of the error, 0 when there is none."""
        return 0 if self.error is None else self.error.err_code

    @property
    def reason(self) -> str:
        """Return what the error says."""
        return "" if self.error is None else self.error.description


def wanted(name: str, source: str, destination: str, size: int, replicas: int) -> Config:
    """Return the configuration of a stream."""
    return {
        "name": name,
        "subjects": [source],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "max_age": KEPT_SECONDS * headers.NANOSECONDS,
        "max_bytes": size,
        "max_msgs": -1,
        # A bound for each room would drop records that nobody has read yet.
        "max_msgs_per_subject": -1,
        "discard": "old",
        "allow_direct": True,
        "republish": {"src": source, "dest": destination},
    }


def streams(options: Options, servers: int) -> Sequence[Config]:
    """Return the configurations of all streams, for so many servers."""
    replicas = options.replicas or (REPLICAS if servers >= REPLICAS else 1)
    rooms = [
        wanted(
            subjects.stream_name(number),
            f"gr.{number:02}.*",
            f"gd.{number:02}.{{{{wildcard(1)}}}}",
            options.stream_bytes,
            replicas,
        )
        for number in range(subjects.STREAMS)
    ]
    control = wanted(
        subjects.CONTROL_STREAM,
        subjects.CONTROL,
        subjects.CONTROL_DELIVERED,
        CONTROL_BYTES,
        replicas,
    )
    return [*rooms, control]


def differences(want: Config, found: Config, *, replicas: bool) -> list[str]:
    """Return what a stream does that it must not, each as a sentence's end."""
    told = []
    for key, value in want.items():
        there = found.get(key)
        if key in {"name", "max_bytes", "num_replicas"}:
            continue
        if isinstance(value, dict) and isinstance(there, dict):
            there = {each: there[each] for each in there if there[each] not in (False, "")}
        if there != value and not (there is None and value == -1):
            told.append(f"{key} is {_shown(there)}, not {_shown(value)}")
    told += [f"{key} is set" for key in _MUST_NOT if found.get(key)]
    least, there = want["num_replicas"], found.get("num_replicas", 1)
    if replicas and isinstance(least, int) and not (isinstance(there, int) and there >= least):
        told.append(f"num_replicas is {_shown(there)}, not {least}")
    return told


_MUST_NOT = (
    "mirror",
    "sources",
    "sealed",
    "no_ack",
    "subject_transform",
    "discard_new_per_subject",
)


async def provide(
    connection: Connection, options: Options, monotonic_ns: Callable[[], int]
) -> list[int]:
    """Make or check the streams; return how far each leader's clock is ahead of the monotonic one.

    In nanoseconds, in the order of the rooms' streams, the control stream's last.

    Raises:
        NoAnswer: a stream's leader, or JetStream's, cannot be asked now.
        BusRefused: a stream cannot be made, or does something else.
    """
    configs = streams(options, connection.servers)
    each = [_provide(connection, config, options, monotonic_ns) for config in configs]
    return await asyncio.gather(*each)


async def look(connection: Connection, options: Options) -> list[str]:
    """Check the streams that are there; return the names of those that are not.

    Raises:
        NoAnswer, BusRefused: as for `provide`.
    """
    missing = []
    for want in streams(options, connection.servers):
        name = str(want["name"])
        found = await _api(connection, f"STREAM.INFO.{name}", {})
        if found.code == NO_STREAM:
            missing.append(name)
            continue
        _check(want, found, options)
    return missing


async def provide_again(
    connection: Connection,
    options: Options,
    monotonic_ns: Callable[[], int],
    before: Sequence[int],
) -> list[int]:
    """Do the same over a later connection; `before` is what was returned over the first.

    A stream without a leader holds up only its own rooms: it is as it was before.

    Raises:
        NoAnswer: no stream can be asked now.
        BusRefused: a stream cannot be made, or does something else.
    """
    configs = streams(options, connection.servers)
    each = [_provide(connection, config, options, monotonic_ns) for config in configs]
    found = await asyncio.gather(*each, return_exceptions=True)
    for error in found:
        if isinstance(error, BaseException) and not isinstance(error, NoAnswer):
            raise error
    if not any(isinstance(ahead, int) for ahead in found):
        raise NoAnswer("no stream can be asked: JetStream has no leader")
    known = zip(found, before, strict=True)
    return [ahead if isinstance(ahead, int) else earlier for ahead, earlier in known]


async def _provide(
    connection: Connection, want: Config, options: Options, monotonic_ns: Callable[[], int]
) -> int:
    name = str(want["name"])
    found, ahead = await _info(connection, name, monotonic_ns)
    if found.code == NO_STREAM:
        made = await _api(connection, f"STREAM.CREATE.{name}", want)
        if made.error is not None and made.code != NAME_TAKEN:
            raise NoAnswer(f"the stream {name} is not made: {made.reason}")
        # Where another node was faster, or somebody made it otherwise, that is told below.
        found, ahead = await _info(connection, name, monotonic_ns)
    _check(want, found, options)
    copies = (found.config or {}).get("num_replicas")
    connection.copies = max(connection.copies, copies if isinstance(copies, int) else 1)
    return ahead


def _check(want: Config, found: _Answer, options: Options) -> None:
    name = want["name"]
    if found.config is None:
        raise NoAnswer(f"the stream {name} is not ready: {found.reason}")
    different = differences(want, found.config, replicas=options.replicas is not None)
    if different:
        raise BusRefused(f"the stream {name} was made otherwise: {'; '.join(different)}")


async def _info(
    connection: Connection, name: str, monotonic_ns: Callable[[], int]
) -> tuple[_Answer, int]:
    """Return what a stream is, and how far its leader's clock is ahead."""
    before = monotonic_ns()
    found = await _api(connection, f"STREAM.INFO.{name}", {})
    there = headers.stamp_ns(found.ts.encode()) if found.ts else 0
    return found, there - (before + monotonic_ns()) // 2


async def _api(connection: Connection, subject: str, question: Config) -> _Answer:
    found = await ask_for(connection, subject, question, _Answer)
    if found.code in FINAL:
        raise BusRefused(FINAL[found.code])
    return found


def _shown(value: object) -> str:
    return "missing" if value is None else msgspec.json.encode(value).decode()
