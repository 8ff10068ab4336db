"""What the clients of all APIs have, with a sender that notes what it is asked for."""

import re
from datetime import date
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.client import (
    ConfigError,
    Credentials,
    HttpOptions,
    Ivschat,
    IvschatError,
    ParamValidation,
    RetryDelayOptions,
    RoomPage,
)
from greenroom.client.api.options import EndpointKind
from greenroom.client.api.sending import Settings
from tests.stand_ins.asked_sender import instead

KEYS: dict[str, Any] = {"access_key_id": "AKIA", "secret_access_key": "secret"}


def settings_of(client: Ivschat) -> Settings:
    """Return what a client was made with."""
    return client._sender._settings


def test_defaults() -> None:
    """They are those of the SDK for JavaScript."""
    client = Ivschat()
    assert settings_of(client) == Settings(
        service="ivschat",
        endpoint=None,
        region=None,
        ssl_enabled=True,
        max_retries=3,
        max_redirects=10,
        retry_delay=RetryDelayOptions(100, None),
        rules=ParamValidation(min=True, max=False, pattern=False, enum=False),
        convert_response_types=True,
        correct_clock_skew=False,
        http=HttpOptions(None, None, 120_000, None, ssl=True),
        kind=EndpointKind(None, None),
    )
    assert client.system_clock_offset == 0
    assert (client._params, client._logger) == ({}, None)


def test_options() -> None:
    """Each is what the requests are sent with."""
    client = Ivschat(
        endpoint="http://here",
        region="r",
        max_retries=0,
        retry_delay_options={"base": 5},
        max_redirects=1,
        ssl_enabled=False,
        param_validation=False,
        convert_response_types=False,
        correct_clock_skew=True,
        system_clock_offset=50,
        http_options={"timeout": 1},
        use_fips_endpoint=True,
        use_dualstack_endpoint=False,
    )
    assert settings_of(client) == Settings(
        endpoint="http://here",
        region="r",
        ssl_enabled=False,
        max_retries=0,
        max_redirects=1,
        retry_delay=RetryDelayOptions(base=5),
        rules=None,
        convert_response_types=False,
        correct_clock_skew=True,
        http=HttpOptions(timeout=1),
        kind=EndpointKind(True, False),
    )
    assert client.system_clock_offset == 50


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"access_key_id": "AKIA"}, "belong together"),
        ({"secret_access_key": "secret"}, "belong together"),
        ({"api_version": "2019-01-01"}, "Could not find Ivschat API"),
        ({"api_versions": {"ivschat": date(2019, 1, 1)}}, "2019-01-01"),
        ({"signature_version": "v2"}, "signature_version must be v4"),
        ({"retry_delay_options": {"bass": 1}}, "retry_delay_options.*bass"),
        ({"http_options": 5}, "http_options must be a HttpOptions or a mapping"),
        ({"param_validation": {"most": True}}, "param_validation.*most"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], text: str) -> None:
    """Where the client is made."""
    with pytest.raises(ConfigError, match=text):
        Ivschat(**options)


async def test_whose_keys_sign() -> None:
    """Those that are given one by one, before those that are given as one."""
    given = Credentials("OTHER", "other")
    client = Ivschat(**KEYS, session_token="session", credentials=given)
    assert await client._sender._credentials.get() == Credentials("AKIA", "secret", "session")
    assert await Ivschat(credentials=given)._sender._credentials.get() == given


async def test_requests_by_name() -> None:
    """Signed or not; names of Python's kind and the model's, and what is None is left out."""
    client = Ivschat()
    sender = instead(client, "answer", RoomPage([]))
    response = await client.make_request("list_rooms", {"max_results": 1, "name": None})
    assert (response.data, response.request_id) == ("answer", "the-request")
    await client.make_unauthenticated_request("ListRooms")
    assert sender.asked == [("ListRooms", {"maxResults": 1}), ("ListRooms", {})]
    assert sender.signed == [True, False]
    with pytest.raises(ConfigError, match="no operation of ivschat"):
        await client.make_request("dance")


async def test_bound_parameters_go_with_every_request() -> None:
    """Those that the operation has, unless the call says otherwise."""
    client = Ivschat(params={"name": "bound", "room_identifier": "x", "nextToken": "t"})
    sender = instead(client, RoomPage([]), RoomPage([]))
    await client.list_rooms(max_results=1)
    await client.list_rooms(name="said")
    assert [params for _, params in sender.asked] == [
        {"maxResults": 1, "name": "bound", "nextToken": "t"},
        {"name": "said", "nextToken": "t"},
    ]


async def test_an_answer_of_another_kind_is_told() -> None:
    """It is no result."""
    client = Ivschat()
    instead(client, "text")
    with pytest.raises(TypeError, match=r"^ListRooms returned a str$"):
        await client.list_rooms()


async def test_a_logger_gets_how_it_went(monkeypatch: pytest.MonkeyPatch) -> None:
    """Status, time and further attempts, of what fails as well."""
    times = iter((10.0, 10.25, 20.0, 20.5, 30.0, 31.0))
    clock = Mock(monotonic=lambda: next(times))
    monkeypatch.setattr("greenroom.client.api.client.time", clock)
    failed = IvschatError("Code", "text", status_code=429)
    failed.retry_count = 1
    client = Ivschat(logger=(stream := Mock(spec=["write"])))
    instead(client, RoomPage([]), failed, KeyError())
    await client.list_rooms()
    for kind in (IvschatError, KeyError):
        with pytest.raises(kind):
            await client.list_rooms()
    lines = [call.args[0] for call in stream.write.call_args_list]
    assert [re.sub(" list_rooms.*", "", line, flags=re.DOTALL) for line in lines] == [
        "[AWS ivschat 200 0.250s 2 retries]",
        "[AWS ivschat 429 0.500s 1 retries]",
        "[AWS ivschat - 1.000s 0 retries]",
    ]


async def test_its_end() -> None:
    """The connections are closed; the clock's offset is that of its sender."""
    sender = instead(client := Ivschat())
    async with client as made:
        assert made is client
        assert sender.closed == 0
        assert made.system_clock_offset == 7
    assert sender.closed == 1
    await client.close()
    assert sender.closed == 2
