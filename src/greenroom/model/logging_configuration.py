"""Logging configurations: where the chat of their rooms is recorded."""

from enum import StrEnum

import msgspec
from msgspec import UNSET, UnsetType

from greenroom.model.arn import Arn
from greenroom.model.errors import ConflictException


class LoggingConfigurationState(StrEnum):
    """The life of a logging configuration (API reference, LoggingConfigurationSummary)."""

    CREATING = "CREATING"
    CREATE_FAILED = "CREATE_FAILED"
    DELETING = "DELETING"
    DELETE_FAILED = "DELETE_FAILED"
    UPDATING = "UPDATING"
    UPDATE_FAILED = "UPDATE_FAILED"
    ACTIVE = "ACTIVE"


State = LoggingConfigurationState

TRANSITIONS: dict[State, frozenset[State]] = {
    State.CREATING: frozenset({State.ACTIVE, State.CREATE_FAILED}),
    State.CREATE_FAILED: frozenset({State.UPDATING, State.DELETING}),
    State.ACTIVE: frozenset({State.UPDATING, State.DELETING, State.UPDATE_FAILED}),
    State.UPDATING: frozenset({State.ACTIVE, State.UPDATE_FAILED}),
    State.UPDATE_FAILED: frozenset({State.UPDATING, State.DELETING, State.ACTIVE}),
    State.DELETING: frozenset({State.DELETE_FAILED}),
    State.DELETE_FAILED: frozenset({State.UPDATING, State.DELETING}),
}
"""Which state may follow which; a deleted configuration has none.

ACTIVE and UPDATE_FAILED follow each other also without an update, when the destination of an
ACTIVE one is gone or forbidden for long, and when it takes records again.
"""


class DestinationKind(StrEnum):
    """The member of the DestinationConfiguration union that is set."""

    S3 = "s3"
    CLOUD_WATCH_LOGS = "cloudWatchLogs"
    FIREHOSE = "firehose"


class DestinationConfiguration(msgspec.Struct, frozen=True):
    """One destination: a bucket, a log group or a delivery stream, by its name."""

    kind: DestinationKind
    name: str


class LoggingConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """A logging configuration as stored. Times are milliseconds since the epoch."""

    arn: Arn
    name: str | None = None
    destination: DestinationConfiguration
    state: State = State.CREATING
    tags: dict[str, str] = {}
    create_time: int
    update_time: int

    def moved_to(self, state: State, update_time: int) -> "LoggingConfiguration":
        """Return the configuration in another state.

        Raises:
            ConflictException: that state may not follow the present one.
        """
        if state not in TRANSITIONS[self.state]:
            raise self.conflict(f"is {self.state} and cannot become {state}")
        return msgspec.structs.replace(self, state=state, update_time=update_time)

    def conflict(self, why: str) -> ConflictException:
        """Return the error for a change that the configuration's state or use forbids."""
        return ConflictException(
            f"Logging configuration {self.arn} {why}",
            resource_id=self.arn.id,
            resource_type=self.arn.type.wire_name,
        )


class LoggingConfigurationChange(msgspec.Struct, frozen=True, kw_only=True):
    """A partial update: what is UNSET stays (API reference, UpdateLoggingConfiguration)."""

    name: str | UnsetType = UNSET
    destination: DestinationConfiguration | UnsetType = UNSET

    def apply(self, configuration: LoggingConfiguration) -> LoggingConfiguration:
        """Return the changed configuration, its state and times untouched."""
        changes = {
            field: value
            for field in self.__struct_fields__
            if (value := getattr(self, field)) is not UNSET
        }
        return msgspec.structs.replace(configuration, **changes)
