"""The five operations on logging configurations, and the end of interrupted ones."""

import asyncio
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.chatlog.base import DestinationFailed, FailureKind
from greenroom.control.ivschat.logging_configurations import finish_interrupted
from greenroom.model.arn import Arn
from greenroom.model.logging_configuration import (
    DestinationConfiguration,
    DestinationKind,
    LoggingConfigurationChange,
    LoggingConfigurationState,
)
from greenroom.storage.base import StorageUnavailable
from tests.stand_ins.caller import ACCOUNT, Caller
from tests.stand_ins.values import NOW, a_configuration

State = LoggingConfigurationState
DESTINATIONS: list[dict[str, Any]] = [
    {"s3": {"bucketName": "bucket"}},
    {"cloudWatchLogs": {"logGroupName": "group"}},
    {"firehose": {"deliveryStreamName": "stream"}},
]


@pytest.mark.parametrize("destination", DESTINATIONS, ids=lambda each: str(next(iter(each))))
async def test_create(destination: dict[str, Any]) -> None:
    """A configuration is ACTIVE when it is returned, with its destination as it was given."""
    api = Caller()
    answer = await api.call(
        "CreateLoggingConfiguration",
        name="chat-log",
        destinationConfiguration=destination,
        tags={"a": "b"},
    )
    body = answer.body
    arn = f"arn:aws:ivschat:us-east-1:{ACCOUNT}:logging-configuration/{body['id']}"
    assert (body["arn"], body["state"], body["name"]) == (arn, "ACTIVE", "chat-log")
    assert (body["destinationConfiguration"], body["tags"]) == (destination, {"a": "b"})
    assert body["updateTime"] > body["createTime"]
    assert (await api.call("GetLoggingConfiguration", identifier=arn)).body == body
    assert (await api.call("ListLoggingConfigurations")).body == {"loggingConfigurations": [body]}


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({}, ["destinationConfiguration"]),
        ({"destinationConfiguration": {}}, ["destinationConfiguration"]),
        (
            {"destinationConfiguration": {**DESTINATIONS[0], **DESTINATIONS[1]}},
            ["destinationConfiguration"],
        ),
        ({"destinationConfiguration": {"s3": {}}}, ["destinationConfiguration.s3.bucketName"]),
        (
            {"destinationConfiguration": {"s3": {"bucketName": "A"}}},
            ["destinationConfiguration.s3.bucketName"] * 2,
        ),
        ({"destinationConfiguration": DESTINATIONS[0], "name": "a b"}, ["name"]),
        ({"destinationConfiguration": DESTINATIONS[0], "tags": {"aws:": ""}}, ["tags.aws:"]),
    ],
)
async def test_refusals(parameters: dict[str, Any], fields: list[str]) -> None:
    """Each failed constraint is named by its field's path, and nothing is created."""
    api = Caller()
    assert (await api.call("CreateLoggingConfiguration", **parameters)).fields() == fields
    assert (await api.call("ListLoggingConfigurations")).body == {"loggingConfigurations": []}


async def test_a_destination_that_cannot_be_written_to() -> None:
    """A create or an update ends in its failed state, as it is answered; the next one may work."""
    api = Caller()
    missing = DestinationFailed(FailureKind.NOT_FOUND, "no such bucket")
    api.destination.check_failure = missing
    answer = await api.call("CreateLoggingConfiguration", destinationConfiguration=DESTINATIONS[0])
    assert (answer.status, answer.body["state"]) == (200, "CREATE_FAILED")
    arn = answer.body["arn"]
    refused = await api.call("CreateRoom", loggingConfigurationIdentifiers=[arn])
    assert refused.error() == (409, "ConflictException")
    for failure, state in (
        (missing, "UPDATE_FAILED"),
        (None, "ACTIVE"),
        (missing, "UPDATE_FAILED"),
    ):
        api.destination.check_failure = failure
        with capture_logs() as logs:
            updated = await api.call(
                "UpdateLoggingConfiguration",
                identifier=arn,
                destinationConfiguration=DESTINATIONS[1],
            )
        told = [each for each in logs if each["event"] == "logging configuration failed"]
        assert [each["logging_configuration"] for each in told] == ([arn] if failure else [])
        assert (updated.status, updated.body["state"]) == (200, state)
        body = (await api.call("GetLoggingConfiguration", identifier=arn)).body
        assert (body["state"], body["destinationConfiguration"]) == (state, DESTINATIONS[1])
    assert (await api.call("DeleteLoggingConfiguration", identifier=arn)).status == 204


async def test_an_interrupted_check_is_made_again() -> None:
    """What was CREATING or UPDATING when the process died ends as its destination says."""
    api = Caller()
    api.destination.check_failure = DestinationFailed(FailureKind.ACCESS_DENIED, "no")
    for before, after in (
        (State.CREATING, State.CREATE_FAILED),
        (State.UPDATING, State.UPDATE_FAILED),
    ):
        kept = a_configuration(before)
        await api.store.logging_configurations.create(kept, 0)
        await finish_interrupted(api.store.logging_configurations, api.chat_log, api.time.clock)
        found = await api.store.logging_configurations.get(kept.arn)
        assert found.state is after


async def test_delete_delivers_first() -> None:
    """While records wait the configuration is DELETING; when they are delivered it is gone."""
    async with Caller().recording() as api:
        arn = await api.configuration()
        room = await api.created(loggingConfigurationIdentifiers=[arn])
        await api.call("SendEvent", roomIdentifier=room, eventName="app:poll")
        await api.call("UpdateRoom", identifier=room, loggingConfigurationIdentifiers=[])
        api.destination.gate.clear()
        assert (await api.call("DeleteLoggingConfiguration", identifier=arn)).status == 204
        answer = await api.call("GetLoggingConfiguration", identifier=arn)
        assert answer.body["state"] == "DELETING"
        again = await api.call("DeleteLoggingConfiguration", identifier=arn)
        assert again.error() == (409, "ConflictException")
        await api.call("DeleteRoom", identifier=room)
        api.destination.gate.set()
        await asyncio.sleep(0.01)
        assert (await api.call("GetLoggingConfiguration", identifier=arn)).status == 404
        (record,) = api.destination.payloads()
        assert msgspec.json.decode(record)["EventName"] == "app:poll"


async def test_partial_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is absent stays; the state is ACTIVE when the answer comes, and delivery knows of it."""
    api, told = Caller(), list[str]()
    monkeypatch.setattr(api.chat_log, "changed", lambda arn: told.append(str(arn)))
    arn = await api.configuration(name="bucket")
    before = (await api.call("GetLoggingConfiguration", identifier=arn)).body
    api.time.advance(5)
    for change in ({}, {"destinationConfiguration": DESTINATIONS[1]}, {"name": "new"}):
        after = (await api.call("UpdateLoggingConfiguration", identifier=arn, **change)).body
        assert after.pop("updateTime") > before["updateTime"]
        before.update(change)
        assert after == {name: before[name] for name in after}
        assert after["state"] == "ACTIVE"
    assert told == [arn] * 3


async def test_delete() -> None:
    """One that no room has attached is deleted; one that is attached is a conflict."""
    api = Caller()
    arn = await api.configuration()
    room = await api.created(loggingConfigurationIdentifiers=[arn])
    refused = await api.call("DeleteLoggingConfiguration", identifier=arn)
    assert refused.error() == (409, "ConflictException")
    assert (await api.call("GetLoggingConfiguration", identifier=arn)).body["state"] == "ACTIVE"
    await api.call("UpdateRoom", identifier=room, loggingConfigurationIdentifiers=[])
    assert (await api.call("DeleteLoggingConfiguration", identifier=arn)).status == 204
    assert (await api.call("GetLoggingConfiguration", identifier=arn)).status == 404
    assert (await api.call("DeleteLoggingConfiguration", identifier=arn)).status == 404


@pytest.mark.parametrize("state", [State.CREATING, State.UPDATING, State.DELETING], ids=str)
async def test_between_two_states(state: State) -> None:
    """A configuration that is being changed can be read; changing or attaching it conflicts."""
    api = Caller()
    kept = a_configuration(state)
    await api.store.logging_configurations.create(kept, 0)
    arn = str(kept.arn)
    answer = await api.call("GetLoggingConfiguration", identifier=arn)
    assert answer.body["state"] == state
    for refused in (
        await api.call("UpdateLoggingConfiguration", identifier=arn, name="x"),
        await api.call("DeleteLoggingConfiguration", identifier=arn),
        await api.call("CreateRoom", loggingConfigurationIdentifiers=[arn]),
    ):
        assert refused.error() == (409, "ConflictException")
        assert refused.body["resourceType"] == "LOGGING_CONFIGURATION"


async def test_finish_interrupted_on_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes nothing keeps no service from starting; the next start does it."""
    api = Caller()
    kept = a_configuration(State.CREATING)
    await api.store.logging_configurations.create(kept, 0)

    async def refuse(*_: object) -> None:
        raise StorageUnavailable("full")

    with monkeypatch.context() as full:
        full.setattr(api.store.logging_configurations, "move", refuse)
        await finish_interrupted(api.store.logging_configurations, api.chat_log, api.time.clock)
        full.setattr(api.store.logging_configurations, "unfinished", refuse)
        with pytest.raises(StorageUnavailable):
            await finish_interrupted(api.store.logging_configurations, api.chat_log, api.time.clock)
    await finish_interrupted(api.store.logging_configurations, api.chat_log, api.time.clock)
    assert (await api.store.logging_configurations.get(kept.arn)).state is State.ACTIVE


async def test_finish_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start what was being created or updated becomes ACTIVE, what was deleted is gone.

    Delivery is told of what it may write to again.
    """
    api, told = Caller(), set[Arn]()
    monkeypatch.setattr(api.chat_log, "changed", told.add)
    kept = {state: a_configuration(state, name=state.value.lower()) for state in State}
    for configuration in kept.values():
        await api.store.logging_configurations.create(configuration, 0)
    for _ in range(2):
        await finish_interrupted(api.store.logging_configurations, api.chat_log, api.time.clock)
    states = {}
    for state, configuration in kept.items():
        answer = await api.call("GetLoggingConfiguration", identifier=str(configuration.arn))
        states[state] = answer.body.get("state", answer.status)
    changed = {State.CREATING: "ACTIVE", State.UPDATING: "ACTIVE", State.DELETING: 404}
    assert states == {state: changed.get(state, state.value) for state in State}
    assert told >= {kept[State.CREATING].arn, kept[State.UPDATING].arn}


async def test_what_another_node_performs_is_left_alone() -> None:
    """Where others may be performing an operation, only what is idle for long is finished."""
    api = Caller()
    configuration = a_configuration(State.CREATING)
    kept = api.store.logging_configurations
    await kept.create(configuration, 0)
    api.time.wall_ns = (NOW + 59_999) * 1_000_000
    await finish_interrupted(kept, api.chat_log, api.time.clock, idle_seconds=60)
    assert (await kept.get(configuration.arn)).state is State.CREATING
    api.time.wall_ns += 1_000_000
    await finish_interrupted(kept, api.chat_log, api.time.clock, idle_seconds=60)
    assert (await kept.get(configuration.arn)).state is State.ACTIVE


async def test_what_another_node_finishes_meanwhile() -> None:
    """It is no error that a configuration is finished, or gone, when its turn comes."""
    api = Caller()
    kept = api.store.logging_configurations
    finished, gone = a_configuration(State.UPDATING), a_configuration(State.UPDATING)
    for configuration in (finished, gone):
        await kept.create(configuration, 0)
    api.destination.gate.clear()
    finishing = asyncio.create_task(finish_interrupted(kept, api.chat_log, api.time.clock))
    await asyncio.sleep(0)
    for configuration in (finished, gone):
        await kept.move(configuration.arn, State.UPDATING, State.ACTIVE, NOW)
    await kept.begin_delete(gone.arn, NOW)
    await kept.finish_delete(gone.arn)
    api.destination.gate.set()
    await finishing
    assert (await kept.get(finished.arn)).state is State.ACTIVE


async def test_an_interrupted_update_keeps_its_change() -> None:
    """What UpdateLoggingConfiguration wrote before the process died holds after the start."""
    api = Caller()
    arn = Arn.parse(await api.configuration())
    group = DestinationConfiguration(DestinationKind.CLOUD_WATCH_LOGS, "group")
    change = LoggingConfigurationChange(destination=group)
    await api.store.logging_configurations.update(arn, change, State.UPDATING, NOW)
    await finish_interrupted(api.store.logging_configurations, api.chat_log, api.time.clock)
    body = (await api.call("GetLoggingConfiguration", identifier=str(arn))).body
    assert (body["state"], body["destinationConfiguration"]) == ("ACTIVE", DESTINATIONS[1])


async def test_quota() -> None:
    """At the quota no configuration is created."""
    api = Caller(logging_configurations=1)
    await api.configuration()
    answer = await api.call("CreateLoggingConfiguration", destinationConfiguration=DESTINATIONS[0])
    assert answer.error() == (402, "ServiceQuotaExceededException")
    assert (answer.body["limit"], answer.body["resourceType"]) == (1, "LOGGING_CONFIGURATION")


async def test_pages() -> None:
    """Newest first, each once, whatever the size of the page."""
    api = Caller()
    arns = [await api.configuration() for _ in range(5)]
    seen: list[str] = []
    token: str | None = ""
    while token is not None:
        answer = await api.call("ListLoggingConfigurations", maxResults=2, nextToken=token)
        seen += [each["arn"] for each in answer.body["loggingConfigurations"]]
        token = answer.body.get("nextToken")
    assert seen == arns[::-1]
