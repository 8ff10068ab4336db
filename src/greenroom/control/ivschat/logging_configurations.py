"""The five operations on logging configurations, and the end of interrupted ones.

A create, update or delete is two durable steps: into CREATING, UPDATING or DELETING, and out of
it. Whoever meets a configuration between the two gets ConflictException. What the death of the
process left between them is finished at the next start, in a cluster by one of the other nodes.

- The destination decides how a create or an update ends: in ACTIVE when it can be written to, else
  in CREATE_FAILED or UPDATE_FAILED, and the log says why.
- A delete ends when what waits for the destination is delivered: within the request when nothing
  waits, else later, and until then the configuration is DELETING.
"""

import asyncio

import structlog
from msgspec import UNSET

from greenroom.chatlog.base import ChatLog
from greenroom.clock import Clock
from greenroom.control.ivschat.context import Call
from greenroom.control.ivschat.pages import PageToken
from greenroom.control.pipeline import Result
from greenroom.model.arn import ResourceType
from greenroom.model.errors import (
    ConflictException,
    ResourceNotFoundException,
    ValidationException,
)
from greenroom.model.logging_configuration import (
    DestinationConfiguration,
    DestinationKind,
    LoggingConfiguration,
    LoggingConfigurationChange,
    State,
)
from greenroom.model.tags import tag_count_errors
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.logging_configurations import LoggingConfigurations

DEFAULT_PAGE = 50
"""Configurations on a page (API reference, ListLoggingConfigurations)."""

_DESTINATION = "destinationConfiguration"

_FAILED = {State.CREATING: State.CREATE_FAILED, State.UPDATING: State.UPDATE_FAILED}
"""The state to which a destination that cannot be written to leads."""

log = structlog.get_logger()

_NAME_MEMBER = {
    DestinationKind.S3: "bucketName",
    DestinationKind.CLOUD_WATCH_LOGS: "logGroupName",
    DestinationKind.FIREHOSE: "deliveryStreamName",
}


async def create_logging_configuration(call: Call) -> Result:
    """CreateLoggingConfiguration: created as CREATING, returned as ACTIVE or CREATE_FAILED."""
    tags = call.strings("tags")
    services = call.services
    count_errors = tag_count_errors(len(tags), services.quotas["tags_per_resource"])
    if errors := count_errors:
        raise ValidationException.of_fields(*errors)
    now = services.clock.now_ms()
    configuration = LoggingConfiguration(
        arn=call.new_arn(ResourceType.LOGGING_CONFIGURATION),
        name=call.optional_text("name"),
        destination=_destination(call),
        tags=tags,
        create_time=now,
        update_time=now,
    )
    await services.store.logging_configurations.create(
        configuration, services.quotas["logging_configurations"]
    )
    checked = await _checked(
        services.store.logging_configurations, services.chat_log, services.clock, configuration
    )
    return _described(checked)


async def get_logging_configuration(call: Call) -> Result:
    """GetLoggingConfiguration."""
    arn = call.resource("identifier")
    return _described(await call.services.store.logging_configurations.get(arn))


async def update_logging_configuration(call: Call) -> Result:
    """UpdateLoggingConfiguration: what is absent stays."""
    arn = call.resource("identifier")
    change = LoggingConfigurationChange(
        name=call.given("name", str),
        destination=_destination(call) if _DESTINATION in call.parameters else UNSET,
    )
    services = call.services
    updating = await services.store.logging_configurations.update(
        arn, change, State.UPDATING, services.clock.now_ms()
    )
    checked = await _checked(
        services.store.logging_configurations, services.chat_log, services.clock, updating
    )
    services.chat_log.changed(arn)
    return _described(checked)


async def delete_logging_configuration(call: Call) -> Result:
    """DeleteLoggingConfiguration: refused with ConflictException while a room has it attached."""
    arn = call.resource("identifier")
    kept = call.services.store.logging_configurations
    await kept.begin_delete(arn, call.services.clock.now_ms())
    if await call.services.chat_log.finish(arn):
        await kept.finish_delete(arn)
    return {}


async def list_logging_configurations(call: Call) -> Result:
    """ListLoggingConfigurations: newest first."""
    token = PageToken(call, "ListLoggingConfigurations")
    page = await call.services.store.logging_configurations.page(
        call.account,
        call.region,
        call.number("maxResults", DEFAULT_PAGE),
        await token.after(int),
    )
    result: Result = {"loggingConfigurations": [_described(each) for each in page.configurations]}
    if page.next is not None:
        result["nextToken"] = token.following(page.next)
    return result


async def finish_interrupted(
    kept: LoggingConfigurations, chat_log: ChatLog, clock: Clock, idle_seconds: int = 0
) -> None:
    """End the creations, updates and deletions that a stop of the process interrupted.

    Others may be performing some: those are left alone that changed in the last `idle_seconds`.

    Raises:
        StorageUnavailable: which they are cannot be read now.
    """
    until = clock.now_ms() - 1000 * idle_seconds
    # Before the group of tasks, which would make a group of the error.
    unfinished = await kept.unfinished()
    async with asyncio.TaskGroup() as tasks:
        for configuration in unfinished:
            if configuration.update_time <= until or not idle_seconds:
                tasks.create_task(_finish(kept, chat_log, clock, configuration))


async def _finish(
    kept: LoggingConfigurations,
    chat_log: ChatLog,
    clock: Clock,
    configuration: LoggingConfiguration,
) -> None:
    try:
        if configuration.state is not State.DELETING:
            await _checked(kept, chat_log, clock, configuration)
            chat_log.changed(configuration.arn)
        elif await chat_log.finish(configuration.arn):
            await kept.finish_delete(configuration.arn)
    except (ConflictException, ResourceNotFoundException):
        log.info(
            "logging configuration was finished meanwhile",
            logging_configuration=str(configuration.arn),
        )
    except StorageUnavailable:
        # The next start tries again: a full disk must not keep this one from serving.
        log.warning(
            "logging configuration stays unfinished",
            logging_configuration=str(configuration.arn),
            state=configuration.state.value,
        )


async def _checked(
    kept: LoggingConfigurations,
    chat_log: ChatLog,
    clock: Clock,
    configuration: LoggingConfiguration,
) -> LoggingConfiguration:
    """Move a CREATING or UPDATING configuration to the state that its destination decides."""
    why = await chat_log.check(configuration)
    state = State.ACTIVE if why is None else _FAILED[configuration.state]
    if why is not None:
        log.warning(
            "logging configuration failed",
            logging_configuration=str(configuration.arn),
            destination=configuration.destination.name,
            state=state.value,
            reason=why,
        )
    return await kept.move(configuration.arn, configuration.state, state, clock.now_ms() + 1)


def _destination(call: Call) -> DestinationConfiguration:
    ((kind, members),) = call.required(_DESTINATION, dict[str, dict[str, str]]).items()
    destination = DestinationKind(kind)
    return DestinationConfiguration(destination, members[_NAME_MEMBER[destination]])


def _described(configuration: LoggingConfiguration) -> Result:
    destination = configuration.destination
    return {
        "arn": str(configuration.arn),
        "id": configuration.arn.id,
        "createTime": configuration.create_time,
        "updateTime": configuration.update_time,
        "name": configuration.name,
        _DESTINATION: {destination.kind.value: {_NAME_MEMBER[destination.kind]: destination.name}},
        "state": configuration.state.value,
        "tags": configuration.tags,
    }
