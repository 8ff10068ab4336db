"""`Ivschat` against the real service, and against a server that does what the test says.

`tests/interop/test_python_client.py` compares its requests and outcomes with other clients'.

Covers: greenroom.client.api.errors, greenroom.client.api.options,
greenroom.client.api.credentials, greenroom.client.api.reporting, greenroom.client.api.paging
"""

import asyncio
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from botocore.credentials import Credentials as BotocoreKeys

from greenroom.aws.service import OPERATIONS
from greenroom.client import (
    ChatRoom,
    ChatToken,
    ConfigError,
    Credentials,
    CredentialsError,
    DestinationConfiguration,
    HttpOptions,
    Ivschat,
    IvschatError,
    LoggingConfiguration,
    MessageReviewHandler,
    NetworkingError,
    ParameterError,
    ParamValidation,
    ResourceNotFoundException,
    RetryDelayOptions,
    Room,
    RoomPage,
    S3DestinationConfiguration,
    ServiceQuotaExceededException,
    ThrottlingException,
    TimeoutExceeded,
    ValidationException,
)
from greenroom.client.api import requests, results
from tests.running.recording import Peer, Scripted, recording
from tests.running.service import Service, running

KEYS: dict[str, Any] = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "secret"}
EMPTY = Scripted(200, {"rooms": []}, {"x-amzn-RequestId": "the-request"})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give a running service."""
    variables = {"GREENROOM_REVIEW_HANDLERS": "*=none"}
    with running(tmp_path_factory.mktemp("service") / "data", **variables) as started:
        yield started


@pytest.fixture
async def ivschat(service: Service) -> AsyncIterator[Ivschat]:
    """Give a client of it."""
    async with Ivschat(
        endpoint=service.api_url,
        region="us-east-1",
        access_key_id=service.ready["access_key_id"],
        secret_access_key=service.ready["secret_access_key"],
    ) as made:
        yield made


@pytest.fixture
async def peer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Peer]:
    """Give a server of scripts, and an environment that says nothing of AWS."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    async with recording() as made:
        made.scripts["ok"] = [EMPTY]
        yield made


def client_of(peer: Peer, script: str = "ok", **options: Any) -> Ivschat:
    """Return a client of a script that does not wait between attempts."""
    given = {"region": "r", "retry_delay_options": {"base": 0}, **KEYS, **options}
    return Ivschat(endpoint=f"{peer.url}/{script}", **given)


# ------------------------------------------------------------------------------- the operations


def test_every_operation_is_a_method() -> None:
    """Each with the members of its input as keywords, and its result's members as attributes."""
    for name, operation in OPERATIONS.items():
        method = getattr(Ivschat, requests.snake(name))
        parameters = set(method.__annotations__) - {"return"}
        assert parameters == {requests.snake(each) for each in operation.input.members}, name
        if operation.output is None or not operation.output.members:
            assert name not in results.RESULTS
            continue
        members = {requests.snake(each) for each in operation.output.members}
        assert set(results.RESULTS[name].__struct_fields__) == members, name


async def test_a_room_is_made_changed_and_deleted(ivschat: Ivschat) -> None:
    """Results are frozen values; what is not set is None."""
    room = await ivschat.create_room(
        name="lobby", tags={"a": "b"}, message_review_handler=MessageReviewHandler(uri="")
    )
    assert isinstance(room, Room)
    assert re.fullmatch(r"arn:aws:ivschat:us-east-1:\d{12}:room/\w{12}", room.arn)
    assert room.tags == {"a": "b"}
    assert room.maximum_message_rate_per_second == 10
    assert isinstance(room.create_time, datetime)
    assert room.create_time.tzinfo is not None
    assert await ivschat.get_room(identifier=room.arn) == room
    with pytest.raises(AttributeError):
        room.name = "x"  # type: ignore[misc]  # it is frozen
    changed = await ivschat.update_room(identifier=room.arn, maximum_message_length=7)
    assert (changed.name, changed.maximum_message_length) == ("lobby", 7)
    page = await ivschat.list_rooms(name="lobby")
    assert [each.arn for each in page.rooms] == [room.arn]
    assert page.next_token is None
    assert await ivschat.delete_room(identifier=room.arn) is None  # type: ignore[func-returns-value]  # so it is
    with pytest.raises(ResourceNotFoundException) as caught:
        await ivschat.get_room(identifier=room.arn)
    error = caught.value
    assert (error.status_code, error.resource_type, error.resource_id) == (404, "ROOM", room.id)
    assert (error.retryable, error.retry_count) == (False, 0)
    assert error.request_id
    assert error.code in str(error)


async def test_logging_configurations_and_tags(ivschat: Ivschat) -> None:
    """Structures may be values or mappings, with names in snake case or the model's."""
    destinations: list[Any] = [
        DestinationConfiguration(s3=S3DestinationConfiguration("a-bucket")),
        {"s3": {"bucket_name": "a-bucket"}},
        {"s3": {"bucketName": "a-bucket"}},
    ]
    made = [
        await ivschat.create_logging_configuration(destination_configuration=each)
        for each in destinations
    ]
    assert isinstance(made[0], LoggingConfiguration)
    assert {each.destination_configuration for each in made} == {destinations[0]}
    first = made[0]
    assert await ivschat.get_logging_configuration(identifier=first.arn) == first
    renamed = await ivschat.update_logging_configuration(identifier=first.arn, name="x")
    assert renamed.name == "x"
    await ivschat.tag_resource(resource_arn=first.arn, tags={"a": "b", "c d": "ü"})
    await ivschat.untag_resource(resource_arn=first.arn, tag_keys=["a"])
    tags = await ivschat.list_tags_for_resource(resource_arn=first.arn)
    assert tags.tags == {"c d": "ü"}
    seen = [each.id async for each in ivschat.logging_configurations(max_results=1)]
    assert sorted(seen) == sorted(each.id for each in made)
    page = await ivschat.list_logging_configurations(max_results=2)
    rest = [each async for each in ivschat.logging_configuration_pages(next_token=page.next_token)]
    assert [len(each.logging_configurations) for each in (page, *rest)] == [2, 1]
    for each in made:
        await ivschat.delete_logging_configuration(identifier=each.arn)


async def test_a_chat_room_takes_its_tokens(service: Service, ivschat: Ivschat) -> None:
    """`create_chat_token` gives what a `ChatRoom` connects with; the rest is seen there."""
    room = await ivschat.create_room()

    async def token() -> ChatToken:
        return await ivschat.create_chat_token(
            room_identifier=room.arn, user_id="alice", capabilities=["SEND_MESSAGE"]
        )

    assert (await token()).session_expiration_time is not None
    assert (await token()).token not in repr(await token())
    async with ChatRoom(service.websocket_url, token) as chat, asyncio.timeout(30):
        sent = await chat.send_message("hello")
        event = await ivschat.send_event(room_identifier=room.arn, event_name="app:e")
        gone = await ivschat.delete_message(room_identifier=room.arn, id=sent.id)
        await ivschat.disconnect_user(room_identifier=room.arn, user_id="alice", reason="bye")
        seen = [entity.id async for entity in chat]
    assert seen[:3] == [sent.id, event.id, gone.id]
    assert len(seen) == 4


async def test_pages_are_walked(ivschat: Ivschat) -> None:
    """By rooms and by pages, and the walk may end before the end."""
    made = [await ivschat.create_room(name=f"page-{number}") for number in range(3)]
    found = [room.id async for room in ivschat.rooms(max_results=1)]
    assert found[:3] == [room.id for room in reversed(made)]
    async for page in ivschat.room_pages(max_results=2):
        assert len(page.rooms) == 2
        break


async def test_a_page_that_leads_to_itself_ends_the_walk(peer: Peer) -> None:
    """A service that is wrong is no endless loop."""
    peer.scripts["loop"] = [Scripted(200, {"rooms": [], "nextToken": "t"})]
    async with client_of(peer, "loop") as ivschat:
        with pytest.raises(IvschatError, match="PaginationError"):
            [page async for page in ivschat.room_pages()]
    assert [each.parsed for each in peer.recorded] == [{}, {"nextToken": "t"}]


async def test_errors_of_the_service_are_typed(ivschat: Ivschat) -> None:
    """What the service refuses names its fields; what the model refuses is not sent."""
    with pytest.raises(ValidationException) as caught:
        await ivschat.create_room(name="no spaces", maximum_message_length=501)
    assert [field.name for field in caught.value.field_list] == ["name", "maximumMessageLength"]
    assert caught.value.reason == "FIELD_VALIDATION_FAILED"
    with pytest.raises(ParameterError, match="Missing required key 'identifier' in params"):
        await ivschat.get_room()
    with pytest.raises(ParameterError) as refused:
        await ivschat.create_room(name=5, tags=[])  # type: ignore[arg-type]  # wrong on purpose
    assert [each.code for each in refused.value.errors] == ["InvalidParameterType"] * 2
    with pytest.raises(ValueError, match="Unexpected key 'x' found in params"):
        await ivschat.make_request("list_rooms", {"x": 1})
    with pytest.raises(ConfigError, match="no operation"):
        await ivschat.make_request("fly")


async def test_a_request_by_name_tells_how_it_went(ivschat: Ivschat) -> None:
    """However the operation is written; without a signature nothing is allowed."""
    for name in ("list_rooms", "listRooms", "ListRooms"):
        response = await ivschat.make_request(name)
        assert isinstance(response.data, RoomPage)
        assert (response.status_code, response.retry_count) == (200, 0)
        assert response.request_id == response.headers["x-amzn-requestid"]
    with pytest.raises(IvschatError) as caught:
        await ivschat.make_unauthenticated_request("list_rooms")
    assert caught.value.code == "MissingAuthenticationTokenException"


async def test_null_and_unknown_members_are_left_out(peer: Peer) -> None:
    """And an answer without what every one has is an error that names the member."""
    peer.scripts["a"] = [
        Scripted(200, {"arn": "a", "id": "i", "name": None, "new": 1, "tags": {"k": None}})
    ]
    peer.scripts["b"] = [Scripted(200, {"id": "i"})]
    peer.scripts["c"] = [Scripted(200, b"no json")]
    async with client_of(peer, "a") as ivschat:
        room = await ivschat.create_room()
        assert (room.name, room.tags) == (None, {})
    for script, text in (("b", "arn"), ("c", "JSON")):
        async with client_of(peer, script) as ivschat:
            with pytest.raises(IvschatError, match=text):
                await ivschat.create_room()


async def test_answers_are_bounded(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is longer than any is not read to its end."""
    monkeypatch.setattr("greenroom.client.api.sending.LONGEST_ANSWER_BYTES", 1_000)
    peer.scripts["long"] = [Scripted(200, {"rooms": [], "nextToken": "x" * 1_000})]
    async with client_of(peer, "long") as ivschat:
        with pytest.raises(IvschatError, match="longer than 1000 bytes"):
            await ivschat.list_rooms()


async def test_convert_response_types_false_leaves_times(service: Service) -> None:
    """Times are the texts of the wire, also in lists and in tokens."""
    async with Ivschat(
        endpoint=service.api_url,
        region="us-east-1",
        credentials=BotocoreKeys(
            service.ready["access_key_id"], service.ready["secret_access_key"]
        ),
        convert_response_types=False,
    ) as ivschat:
        room = await ivschat.create_room()
        token = await ivschat.create_chat_token(room_identifier=room.arn, user_id="u")
        page = await ivschat.list_rooms()
    shown: list[object] = [room.create_time, token.session_expiration_time]
    for time in (*shown, page.rooms[0].update_time):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(time))
    assert page.rooms[0].create_time == room.create_time


# ---------------------------------------------------------------------------------- the options


async def test_retries_wait_as_they_are_told(peer: Peer) -> None:
    """`custom_backoff` gets the number and the error; when negative, it ends."""
    asked: list[tuple[int, str]] = []

    def backoff(count: int, error: IvschatError) -> float:
        asked.append((count, error.code))
        return -1 if count == 2 else 0

    throttled = Scripted(429, {"__type": "ThrottlingException", "limit": 5})
    peer.scripts["busy"] = [throttled]
    options = RetryDelayOptions(custom_backoff=backoff)
    async with client_of(peer, "busy", retry_delay_options=options, max_retries=9) as ivschat:
        with pytest.raises(ThrottlingException) as caught:
            await ivschat.list_rooms()
    assert asked == [(number, "ThrottlingException") for number in range(3)]
    error = caught.value
    assert (error.limit, error.resource_id, error.retryable) == (5, None, True)
    assert (error.retry_count, error.retry_delay) == (2, -1)


async def test_the_usual_wait_doubles(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """At random up to `base` times two to the number of the retry, 100 ms by default."""
    waits: list[float] = []
    sleep = asyncio.sleep

    async def asleep(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr("greenroom.client.api.sending.asyncio.sleep", asleep)
    monkeypatch.setattr("greenroom.client.api.sending.random.random", lambda: 1.0)
    peer.scripts["busy"] = [Scripted(500)]
    for options, base in (({}, 0.1), ({"base": 10}, 0.01)):
        waits.clear()
        async with client_of(peer, "busy", retry_delay_options=options) as ivschat:
            with pytest.raises(IvschatError):
                await ivschat.list_rooms()
        assert [wait for wait in waits if wait] == pytest.approx([base, 2 * base, 4 * base])


@pytest.mark.parametrize(
    ("given", "ssl_enabled", "region", "url"),
    [
        (None, True, "eu-west-1", "https://ivschat.eu-west-1.amazonaws.com"),
        (None, False, "eu-west-1", "http://ivschat.eu-west-1.amazonaws.com"),
        (None, True, "cn-north-1", "https://ivschat.cn-north-1.amazonaws.com.cn"),
        ("example.com:8470", False, "r", "http://example.com:8470"),
        ("{scheme}://{service}.{region}.test/", True, "r", "https://ivschat.r.test"),
        ("https://example.com:443/base/", False, "r", "https://example.com/base"),
        ("http://[::1]:80", True, "r", "http://[::1]"),
    ],
)
def test_endpoints(given: str | None, ssl_enabled: bool, region: str, url: str) -> None:
    """A URL, with what stands for service, region and scheme; without one, AWS's own."""
    from greenroom.client.api.options import endpoint_of

    found = endpoint_of(given, region, ssl_enabled=ssl_enabled)
    assert f"{found.scheme}://{found.host}{found.path}" == url


async def test_the_environment_names_endpoint_region_and_key(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for AWS's own tools, through botocore's chain."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_IVSCHAT", f"{peer.url}/ok")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "of-environment")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the session")
    async with Ivschat() as ivschat:
        await ivschat.list_rooms()
    (request,) = peer.recorded
    assert "AKIAENVIRONMENT/" in request.headers["authorization"]
    assert "/of-environment/ivschat/" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == "the session"
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    from greenroom.client.api.options import endpoint_of

    assert endpoint_of(None, "r", ssl_enabled=True).host == "ivschat.r.amazonaws.com"


async def test_profiles_name_region_and_key(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Shared files are read when nothing else says it."""
    config = tmp_path / "config"
    config.write_text(
        "[profile p]\nregion = of-profile\naws_access_key_id = AKIAPROFILE\n"
        "aws_secret_access_key = secret\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "p")
    async with Ivschat(endpoint=f"{peer.url}/ok") as ivschat:
        await ivschat.list_rooms()
    assert "AKIAPROFILE/" in peer.recorded[0].headers["authorization"]
    assert "/of-profile/" in peer.recorded[0].headers["authorization"]


async def test_without_credentials_nothing_is_sent(peer: Peer) -> None:
    """But a request that is not signed needs none."""
    async with Ivschat(endpoint=f"{peer.url}/ok", region="r") as ivschat:
        with pytest.raises(CredentialsError, match="Missing credentials in config"):
            await ivschat.list_rooms()
        assert peer.recorded == []
        await ivschat.make_unauthenticated_request("list_rooms")
    assert "authorization" not in peer.recorded[0].headers


async def test_a_provider_is_asked_when_it_must_be(peer: Peer) -> None:
    """Once, again when what it gave expires or the service says so; it may be a coroutine."""
    asked = 0

    async def provide() -> Credentials:
        nonlocal asked
        asked += 1
        soon = timedelta(seconds=10 if asked == 1 else 3600)
        return Credentials(f"AKIA{asked}", "secret", expiration=datetime.now(UTC) + soon)

    expired = Scripted(403, {"__type": "ExpiredTokenException"})
    peer.scripts["expiring"] = [EMPTY, EMPTY, EMPTY, expired, EMPTY]
    async with client_of(
        peer,
        "expiring",
        access_key_id=None,
        secret_access_key=None,
        credential_provider=provide,
    ) as ivschat:
        for _ in range(4):
            await ivschat.list_rooms()
    keys = [re.findall("AKIA[0-9]", each.headers["authorization"])[0] for each in peer.recorded]
    assert keys == ["AKIA1", "AKIA2", "AKIA2", "AKIA2", "AKIA3"]


async def test_botocores_credentials_may_refresh_themselves(peer: Peer) -> None:
    """Those that can are asked for each request, others once."""

    class Fixed(BotocoreKeys):
        asked = 0

        def get_frozen_credentials(self) -> Any:
            self.asked += 1
            return super().get_frozen_credentials()

    class Refreshing(Fixed):
        def refresh_needed(self) -> bool:
            return False

    for kind, asked in ((Fixed, 1), (Refreshing, 3)):
        keys = kind("AKIA", "secret")
        async with client_of(
            peer, access_key_id=None, secret_access_key=None, credentials=keys
        ) as ivschat:
            for _ in range(3):
                await ivschat.list_rooms()
        assert keys.asked == asked


async def test_a_provider_that_fails_is_the_reason(peer: Peer) -> None:
    """Its error is the cause, and is not shown: it may hold a secret."""

    def provide() -> Credentials:
        raise RuntimeError("s3cret")

    async with client_of(
        peer, access_key_id=None, secret_access_key=None, credential_provider=provide
    ) as ivschat:
        with pytest.raises(CredentialsError, match="the provider failed: RuntimeError") as caught:
            await ivschat.list_rooms()
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "s3cret" not in str(caught.value)
    assert "secret" not in repr(Credentials("AKIA", "secret", "token"))


async def test_options_that_change_nothing_are_taken(peer: Peer) -> None:
    """Versions that there are, and whether keys are kept: requests are the same."""
    for options in (
        {"api_version": "latest"},
        {"api_version": date(2026, 1, 1), "signature_version": "v4"},
        {"api_versions": {"ivschat": "2020-07-14"}, "signature_cache": False},
        {"param_validation": ParamValidation(max=True), "http_options": HttpOptions()},
    ):
        async with client_of(peer, **options) as ivschat:
            await ivschat.list_rooms()
    assert len(peer.recorded) == 4


@pytest.mark.parametrize("endpoint", ["http://", "http://[x", "http:///path"])
async def test_a_wrong_endpoint_is_told(peer: Peer, endpoint: str) -> None:
    """By the first request."""
    async with Ivschat(endpoint=endpoint, region="r", **KEYS) as ivschat:
        with pytest.raises(ConfigError, match="endpoint"):
            await ivschat.list_rooms()


async def test_a_proxy_is_asked(peer: Peer) -> None:
    """For a host that only it reaches."""
    peer.scripts["ListRooms"] = [EMPTY]
    async with Ivschat(
        endpoint="http://greenroom.test", region="r", http_options={"proxy": peer.url}, **KEYS
    ) as ivschat:
        await ivschat.list_rooms()
    assert peer.recorded[0].headers["host"] == "greenroom.test"


async def test_connections_are_kept_and_may_be_shared(peer: Peer) -> None:
    """A connector that is given is its owner's: it stays open."""
    connector = aiohttp.TCPConnector(limit=1)
    for _ in range(2):
        async with client_of(peer, http_options={"connector": connector}) as ivschat:
            await ivschat.list_rooms()
            await ivschat.list_rooms()
    assert not connector.closed
    await connector.close()


async def test_nobody_there_is_a_network_error(peer: Peer, unused_tcp_port: int) -> None:
    """Of which another attempt may know better."""
    options: dict[str, Any] = {"max_retries": 0, "region": "r", **KEYS}
    async with Ivschat(endpoint=f"http://127.0.0.1:{unused_tcp_port}", **options) as ivschat:
        with pytest.raises(NetworkingError) as caught:
            await ivschat.list_rooms()
    assert (caught.value.code, caught.value.retryable) == ("NetworkingError", True)
    peer.scripts["slow"] = [Scripted(-1)]
    async with client_of(peer, "slow", http_options={"timeout": 30}, max_retries=0) as ivschat:
        with pytest.raises(TimeoutExceeded, match="Connection timed out after 30ms"):
            await ivschat.list_rooms()


async def test_connecting_has_a_time_of_its_own() -> None:
    """Looking up the host is a part of it; an answer may take longer."""

    class Never(AbstractResolver):
        async def resolve(self, *asked: object, **more: object) -> list[ResolveResult]:
            await asyncio.Event().wait()
            raise AssertionError

        async def close(self) -> None:
            pass

    async with aiohttp.TCPConnector(resolver=Never()) as connector:
        options: dict[str, Any] = {"connector": connector, "connect_timeout": 20}
        async with Ivschat(
            endpoint="http://greenroom.test",
            region="r",
            max_retries=0,
            http_options=options,
            **KEYS,
        ) as ivschat:
            with pytest.raises(TimeoutExceeded, match="without establishing a connection"):
                await ivschat.list_rooms()


async def test_a_name_that_nobody_knows_is_told() -> None:
    """In the SDK's words."""

    class Nobody(AbstractResolver):
        async def resolve(self, *asked: object, **more: object) -> list[ResolveResult]:
            raise OSError("unknown")

        async def close(self) -> None:
            pass

    async with aiohttp.TCPConnector(resolver=Nobody()) as connector:
        options = HttpOptions(connector=connector)
        async with Ivschat(
            endpoint="http://greenroom.test",
            region="r",
            max_retries=0,
            http_options=options,
            **KEYS,
        ) as ivschat:
            with pytest.raises(NetworkingError) as caught:
                await ivschat.list_rooms()
    assert caught.value.code == "UnknownEndpoint"
    assert caught.value.message == (
        "Inaccessible host: `greenroom.test' at port `80'."
        " This service may not be available in the `r' region."
    )


async def test_a_date_that_is_none_corrects_nothing(peer: Peer) -> None:
    """A clock is set by a date only."""
    peer.scripts["odd"] = [Scripted(200, {"rooms": []}, {"Date": "no date"})]
    async with client_of(peer, "odd", correct_clock_skew=True, system_clock_offset=7) as ivschat:
        await ivschat.list_rooms()
        assert ivschat.system_clock_offset == 7


async def test_odd_errors_are_errors_all_the_same(peer: Peer) -> None:
    """Members that are not as in the model are left out, and a known code has its own text."""
    members = {"limit": "many", "resourceId": 5}
    peer.scripts["limit"] = [Scripted(402, {"__type": "ServiceQuotaExceededException", **members})]
    peer.scripts["fields"] = [Scripted(400, {"__type": "ValidationException", "fieldList": 5})]
    peer.scripts["large"] = [Scripted(413, {"__type": "RequestEntityTooLarge", "message": "no"})]
    peer.scripts["list"] = [Scripted(400, [1])]
    found = {}
    for script in ("limit", "fields", "large", "list"):
        async with client_of(peer, script) as ivschat:
            with pytest.raises(IvschatError) as caught:
                await ivschat.list_rooms()
            found[script] = caught.value
    limit, fields = found["limit"], found["fields"]
    assert isinstance(limit, ServiceQuotaExceededException)
    assert (limit.limit, limit.resource_id) == (None, None)
    assert isinstance(fields, ValidationException)
    assert fields.field_list == ()
    assert found["large"].message == "Request body must be less than 1 MB"
    assert (found["list"].code, found["list"].message) == ("UnknownError", "Bad Request")


async def test_without_validation_all_is_sent_as_it_is(peer: Peer) -> None:
    """It is the service that says what is wrong."""
    peer.scripts["room"] = [Scripted(200, {"arn": "a", "id": "i"})]
    odd = {
        "messageReviewHandler": 5,
        "maximumMessageLength": "many",
        "maximumMessageRatePerSecond": "7",
        "loggingConfigurationIdentifiers": "x",
        "tags": ["a"],
    }
    async with client_of(peer, "room", param_validation=False) as ivschat:
        await ivschat.make_request("create_room", odd)
    assert peer.recorded[0].parsed == {**odd, "maximumMessageRatePerSecond": 7}


async def test_from_tls_no_redirect_leads_out(peer: Peer) -> None:
    """The request may hold a session's token."""
    from greenroom.client.api.sending import _led, _Target

    error = IvschatError("UnknownError", "307")
    target = _Target("https", "here", "/ListRooms", "")
    with pytest.raises(IvschatError, match="307"):
        _led(target, error, "http://there/ListRooms")
    assert _led(target, error, "/a%20b?c=d") == _Target("https", "here", "/a%20b", "c=d")
    assert _led(target, error, "/a%7Eb%2fc").path == "/a%7Eb%2fc"


async def test_a_cancelled_call_leaves_a_client_that_works(peer: Peer) -> None:
    """Its connection is closed, and no other call gets its answer."""
    peer.scripts["slow"] = [Scripted(-1), EMPTY]
    async with client_of(peer, "slow") as ivschat:
        call = asyncio.create_task(ivschat.list_rooms())
        async with asyncio.timeout(10):
            while not peer.recorded:  # noqa: ASYNC110 - the peer tells nobody
                await asyncio.sleep(0.005)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await ivschat.list_rooms()).rooms == []


async def test_loggers_get_a_line_without_what_is_secret(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """`logging`, streams, and what has a `log`; no content, no attribute, no user."""
    lines: list[str] = []

    class Console:
        def log(self, text: str) -> None:
            lines.append(text)

    class Stream:
        def write(self, text: str) -> None:
            lines.append(text)

    peer.scripts["t"] = [Scripted(200, {"token": "s3cret", "id": "i"})]
    secrets: dict[str, Any] = {"user_id": "alice", "attributes": {"a": "hidden"}}
    with caplog.at_level(logging.INFO):
        for logger in (Console(), Stream(), logging.getLogger("chosen")):
            async with client_of(peer, "t", logger=logger) as ivschat:
                await ivschat.create_chat_token(room_identifier="arn", **secrets)
                await ivschat.send_event(
                    room_identifier="arn", event_name="e", attributes={"a": "hidden"}
                )
                with pytest.raises(ParameterError):
                    await ivschat.get_room()
    lines += [each.message for each in caplog.records if each.name == "chosen"]
    assert len(lines) == 9
    assert re.fullmatch(
        r"\[AWS ivschat 200 [\d.]+s 0 retries\] create_chat_token\(room_identifier='arn',"
        r" user_id='\*\*\*SensitiveInformation\*\*\*',"
        r" attributes='\*\*\*SensitiveInformation\*\*\*'\)",
        lines[0],
    )
    assert lines[2].startswith("[AWS ivschat - ")
    assert lines[3].endswith("\n")
    assert not any(word in line for line in lines for word in ("hidden", "alice", "s3cret"))


async def test_a_redirect_is_followed_by_the_client(peer: Peer) -> None:
    """Signed for where it leads; nobody else follows it."""
    peer.scripts["moved"] = [Scripted(307, b"", {"Location": "/ok/ListRooms"})]
    async with client_of(peer, "moved") as ivschat:
        assert (await ivschat.make_request("list_rooms")).redirect_count == 1
    assert [each.path for each in peer.recorded] == ["/moved/ListRooms", "/ok/ListRooms"]


async def test_a_logger_gets_structures_as_they_are_sent(peer: Peer) -> None:
    """With the model's names inside."""
    lines: list[str] = []

    class Stream:
        def write(self, text: str) -> None:
            lines.append(text)

    peer.scripts["room"] = [Scripted(200, {"arn": "a", "id": "i"})]
    async with client_of(peer, "room", logger=Stream()) as ivschat:
        await ivschat.create_room(
            message_review_handler=MessageReviewHandler(uri="u"),
            tags={"a": "b"},
            logging_configuration_identifiers=["x"],
        )
    assert lines[0].endswith(
        " create_room(message_review_handler={'uri': 'u'}, tags={'a': 'b'},"
        " logging_configuration_identifiers=['x'])\n"
    )


def test_a_chat_room_alone_imports_no_botocore() -> None:
    """Nor does it read the service's model, and nothing of the server is there."""
    code = (
        "import sys; from greenroom.client import ChatRoom, Ivschat;"
        "print([m for m in sys.modules if m.split('.')[0] == 'botocore'"
        " or m in ('greenroom.aws.service', 'greenroom.server', 'greenroom.storage')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
