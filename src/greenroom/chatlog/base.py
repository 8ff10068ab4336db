"""The ports of chat logging: the log as the planes see it, and its destinations.

Guarantees of a `ChatLog`:

- **Before anybody sees it.** When a frame is published, its record survives the death of the
  process. While the disk is full records wait in memory, bounded and announced, so that chat goes
  on.
- **Order.** Frames are published in the order in which `record` was called for them.
- **Nothing twice, nothing lost.** Each record goes to each configuration that its room had when it
  was accepted: exactly once to S3 and files, at least once elsewhere (the id tells).

Guarantees of a `Destination`: `deliver` returns when all records are kept there, or raises
DestinationFailed; a call repeated with the same batch changes nothing where `deliver` says so.
"""

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from greenroom.model.arn import Arn
from greenroom.model.log_record import Record
from greenroom.model.logging_configuration import DestinationKind, LoggingConfiguration

__all__ = ["ChatLog", "Destination", "DestinationFailed", "FailureKind", "Record", "Target"]


class FailureKind(StrEnum):
    """Why a destination does not take records, as its metrics tell it."""

    NOT_FOUND = "not_found"
    ACCESS_DENIED = "access_denied"
    OTHER = "other"


class DestinationFailed(Exception):
    """A destination did not take the records: retry later. `why` is fit for a log line."""

    def __init__(self, kind: FailureKind, why: str) -> None:
        super().__init__(f"{kind}: {why}")
        self.kind = kind
        self.why = why


class Target(msgspec.Struct, frozen=True):
    """Where a configuration's records go. Account and region are those of the configuration."""

    configuration: Arn
    kind: DestinationKind
    name: str


class Destination(Protocol):
    """Keeps records; one object serves every target of its kind. Safe to call concurrently."""

    @property
    def interval_seconds(self) -> float:
        """How long records wait for others before a batch is made of them."""

    @property
    def batch_bytes(self) -> int:
        """Payload bytes after which a batch is made at once."""

    async def check(self, target: Target) -> None:
        """Return when the target exists and may be written to.

        Raises:
            DestinationFailed: it does not, or it does not answer.
        """

    async def deliver(self, target: Target, records: Sequence[Record]) -> int:
        """Keep the records, which are one durable batch; return how many it never will keep.

        The same batch may come again after a failure or a restart, with exactly these records.

        Raises:
            DestinationFailed: not all are kept.
        """

    async def close(self) -> None:
        """Let go of threads and connections."""


class ChatLog(Protocol):
    """Records what clients receive, and watches over the configurations' destinations."""

    def must_wait(self, room: Arn) -> bool:
        """Return whether frames of the room still wait to be published.

        While they do, a frame that needs no record, because the room's configurations were just
        removed, goes through `record` too, and so stays behind them.
        """

    def record(
        self,
        room: Arn,
        configurations: tuple[str, ...],
        payload: bytes,
        time_ns: int,
        publish: Callable[[], object],
        held_id: str = "",
    ) -> Awaitable[None]:
        """Keep a frame of the room for each configuration, by its ARN, then call `publish`.

        `held_id` is the id of a message that has waited until now: that it is on record is kept
        with its record.

        What is returned is done when `publish` was called; whether it is awaited changes nothing.
        Never raises, but passes on what `publish` raises.
        """

    async def check(self, configuration: LoggingConfiguration) -> str | None:
        """Return why the destination cannot be written to, or None when it can."""

    async def finish(self, configuration: Arn) -> bool:
        """Deliver at once what a DELETING configuration holds; return whether that is nothing.

        Waits for no destination. When it is something, the configuration is removed as soon as it
        is delivered.
        """

    def changed(self, configuration: Arn) -> None:
        """Look at the configuration anew: deliver to its present destination from now on."""
