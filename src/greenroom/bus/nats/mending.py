"""What can be put right of the streams without losing a message, and what is for a person.

A stream that is missing is made. One that differs is changed only in what costs no message: more
copies, more bytes, more time, bounds that are taken away. Its storage and its subjects are never
touched, nor is anything lowered: an hour of messages may be in it that no chat log has yet.
"""

from collections.abc import Mapping, Sequence

import msgspec

from greenroom.bus.nats.connection import Connection, NoAnswer, Options
from greenroom.bus.nats.provided import streams
from greenroom.bus.nats.stored import ask_for
from greenroom.bus.nats.survey import StreamFound

RAISED = ("num_replicas", "max_bytes", "max_age")
"""What is only ever raised: one that is larger stays."""

SET = ("max_msgs", "max_msgs_per_subject", "discard", "allow_direct", "republish")
"""What may be set whatever it is."""


class Step(msgspec.Struct, frozen=True):
    """One thing to do: in words, and as JetStream's API takes it."""

    words: str
    subject: str
    question: Mapping[str, object]


class Plan(msgspec.Struct, frozen=True):
    """What is to be done, and what only a person can do."""

    steps: Sequence[Step] = ()
    left: Sequence[str] = ()


class MendingFailed(Exception):
    """A step was refused: what it was, and why."""


def plan(found: Sequence[StreamFound], options: Options, servers: int) -> Plan:
    """Return what would make of the streams that were found those that are wanted."""
    steps: list[Step] = []
    left: list[str] = []
    for want, each in zip(streams(options, servers), found, strict=True):
        if each.missing:
            words = f"make the stream {each.name}, copies: {want['num_replicas']}"
            steps.append(Step(words, f"STREAM.CREATE.{each.name}", want))
        elif each.why:
            left.append(f"the stream {each.name} cannot be looked at: {each.why}")
        else:
            changes = _changes(want, each)
            if changes:
                words = ", ".join(f"{key} {_shown(value)}" for key, value in changes.items())
                question = {**each.config, **changes}
                said = f"change the stream {each.name}: {words}"
                steps.append(Step(said, f"STREAM.UPDATE.{each.name}", question))
            left += _for_a_person(each, changes)
    return Plan(steps, left)


async def perform(connection: Connection, step: Step) -> None:
    """Do a step.

    Raises:
        MendingFailed: JetStream refused it, or did not answer.
    """
    try:
        answer = await ask_for(connection, step.subject, step.question, _Answer)
    except NoAnswer as silent:
        raise MendingFailed(f"{step.words}: {silent}") from None
    if answer.error is not None:
        raise MendingFailed(f"{step.words}: {answer.error.description}")


class _Error(msgspec.Struct):
    description: str = "refused"


class _Answer(msgspec.Struct):
    error: _Error | None = None


def _changes(want: Mapping[str, object], found: StreamFound) -> dict[str, object]:
    changes: dict[str, object] = {}
    for key in RAISED:
        is_bounded = found.config.get(key) not in (None, -1, 0)
        if is_bounded and _of(found.config, key) < _of(want, key):
            changes[key] = want[key]
    differing = {each.partition(" ")[0] for each in found.differences}
    return changes | {key: want[key] for key in SET if key in differing}


def _for_a_person(found: StreamFound, changes: Mapping[str, object]) -> list[str]:
    """Return what differs and is not changed here."""
    keys = {*changes, *RAISED[:2]}
    return [
        f"the stream {found.name}: {each}"
        for each in found.differences
        if each.partition(" ")[0] not in keys
    ]


def _of(config: Mapping[str, object], key: str) -> int:
    value = config.get(key)
    return value if isinstance(value, int) else 0


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode()
