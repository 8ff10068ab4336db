"""What the options of a client mean, and what the environment says in their place."""

from datetime import date
from typing import Any

import pytest

from greenroom.aws.service import OPERATIONS
from greenroom.client import Credentials, Ivschat
from greenroom.client.api import options, requests
from greenroom.client.api.errors import ConfigError
from greenroom.client.api.options import HttpOptions, ParamValidation, RetryDelayOptions
from greenroom.client.api.sending import Settings


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_IVSCHAT",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", raising=False)


DEFAULTS = Settings(
    endpoint=None,
    region=None,
    ssl_enabled=True,
    max_retries=3,
    max_redirects=10,
    retry_delay=RetryDelayOptions(100, None),
    rules=ParamValidation(min=True),
    convert_response_types=True,
    correct_clock_skew=False,
    http=HttpOptions(None, None, 120_000, None, ssl=True),
)


def test_defaults() -> None:
    """They are those of the SDK for JavaScript."""
    client = Ivschat()
    assert client._sender._settings == DEFAULTS
    assert client.system_clock_offset == 0
    assert (client._params, client._logger) == ({}, None)


def test_what_is_chosen() -> None:
    """Each option is what is sent with."""
    chosen: dict[str, Any] = {
        "endpoint": "http://here",
        "region": "eu-west-1",
        "ssl_enabled": False,
        "max_retries": 0,
        "max_redirects": 0,
        "convert_response_types": False,
        "correct_clock_skew": True,
    }
    client = Ivschat(
        params={"name": "bound"},
        access_key_id="AKIA",
        secret_access_key="secret",
        session_token="token",
        retry_delay_options={"base": 5},
        param_validation=False,
        http_options={"timeout": 7},
        system_clock_offset=9,
        **chosen,
    )
    assert client._sender._settings == Settings(
        retry_delay=RetryDelayOptions(5), rules=None, http=HttpOptions(timeout=7), **chosen
    )
    assert client.system_clock_offset == 9
    assert client._params == {"name": "bound"}
    assert client._sender._credentials._given == Credentials("AKIA", "secret", "token")


@pytest.mark.parametrize("given", [{"access_key_id": "AKIA"}, {"secret_access_key": "secret"}])
def test_keys_have_two_parts(given: dict[str, Any]) -> None:
    """Neither is one without the other."""
    with pytest.raises(ConfigError, match="belong together"):
        Ivschat(**given)


def test_rules() -> None:
    """All that there are, none, or those that are chosen."""
    assert options.rules_of(True) == options.rules_of(None) == ParamValidation(min=True)
    assert options.rules_of(False) is None
    chosen = ParamValidation(max=True)
    assert options.rules_of(chosen) is chosen
    assert options.rules_of({"max": True}) == chosen


@pytest.mark.parametrize(
    ("version", "versions", "good"),
    [
        (None, {}, True),
        ("latest", {}, True),
        ("2020-07-14", {}, True),
        ("2020-07-13", {}, False),
        (date(2020, 7, 13), {}, False),
        ("2019-01-01", {"ivschat": "latest"}, True),
        ("latest", {"ivschat": date(2019, 1, 1)}, False),
        ("latest", {"ivs": "2019-01-01"}, True),
    ],
)
def test_versions(version: Any, versions: dict[str, Any], good: bool) -> None:
    """The API's own and later ones; that of this service counts before that of all."""
    if good:
        options.check_versions(version, versions, None)
        options.check_versions(version, versions, "v4")
        with pytest.raises(ConfigError, match="must be v4"):
            options.check_versions(version, versions, "v2")
    else:
        with pytest.raises(ConfigError, match="Could not find Ivschat API"):
            options.check_versions(version, versions, None)


def test_the_region_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that says something; an empty variable says nothing."""
    assert options.region_of_environment() is None
    monkeypatch.setenv("AWS_DEFAULT_REGION", "second")
    assert options.region_of_environment() == "second"
    monkeypatch.setenv("AWS_REGION", "")
    assert options.region_of_environment() == "second"
    monkeypatch.setenv("AWS_REGION", "first")
    assert options.region_of_environment() == "first"


@pytest.mark.parametrize(
    ("region", "text"),
    [
        ("r", None),
        ("eu-west-1", None),
        ("a" * 63, None),
        ("a" * 64, "Invalid"),
        ("-a", "Invalid"),
        ("a.b", "Invalid"),
        ("", "Missing"),
        (None, "Missing"),
    ],
)
def test_regions(region: str | None, text: str | None) -> None:
    """What can be a part of a host's name."""
    if text is None:
        assert options.checked_region(region) == region
    else:
        with pytest.raises(ConfigError, match=f"{text} region in config"):
            options.checked_region(region)


def test_the_endpoint_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the service before that of all, unless it says that none counts."""

    def host(given: str | None = None) -> str:
        return options.endpoint_of(given, "r", ssl_enabled=True).host

    assert host() == "ivschat.r.amazonaws.com"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://all")
    assert host() == "all"
    monkeypatch.setenv("AWS_ENDPOINT_URL_IVSCHAT", "")
    assert host() == "all"
    monkeypatch.setenv("AWS_ENDPOINT_URL_IVSCHAT", "http://own")
    assert (host(), host("http://given")) == ("own", "given")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false")
    assert host() == "own"
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE")
    assert host() == "ivschat.r.amazonaws.com"


@pytest.mark.parametrize(
    ("region", "fips", "dualstack", "host"),
    [
        ("eu-west-1", True, False, "ivschat-fips.eu-west-1.amazonaws.com"),
        ("eu-west-1", False, True, "ivschat.eu-west-1.api.aws"),
        ("us-gov-west-1", True, True, "ivschat-fips.us-gov-west-1.api.aws"),
        ("cn-north-1", True, False, "ivschat-fips.cn-north-1.amazonaws.com.cn"),
        ("cn-north-1", False, True, "ivschat.cn-north-1.api.amazonwebservices.com.cn"),
    ],
)
def test_the_kinds_of_endpoints(
    monkeypatch: pytest.MonkeyPatch, region: str, host: str, *, fips: bool, dualstack: bool
) -> None:
    """They are those of the SDK for JavaScript; an option goes before the environment."""
    kind = options.EndpointKind(fips, dualstack)
    assert options.endpoint_of(None, region, ssl_enabled=True, kind=kind).host == host
    assert options.endpoint_of("http://own", region, ssl_enabled=True, kind=kind).host == "own"
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", str(not fips).lower())
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", str(dualstack))
    assert options.endpoint_of(None, region, ssl_enabled=True, kind=kind).host == host
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", str(fips).lower())
    assert options.endpoint_of(None, region, ssl_enabled=True).host == host


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a", "a"),
        ("http://a:80/", "a"),
        ("https://a:443", "a"),
        ("http://a:443", "a:443"),
        ("https://a:80", "a:80"),
        ("http://[::1]:81/", "[::1]:81"),
    ],
)
def test_ports(url: str, host: str) -> None:
    """The scheme's own is not said."""
    assert options.parsed_endpoint(url).host == host
    assert options.parsed_endpoint(url).path == ""


@pytest.mark.parametrize("url", ["ftp://a", "http://", "http:///a", "http://a:x"])
def test_what_is_no_endpoint(url: str) -> None:
    """Another scheme, or nobody to ask."""
    with pytest.raises(ConfigError, match="endpoint"):
        options.parsed_endpoint(url)


async def test_every_method_calls_its_operation() -> None:
    """With what it is given, under the names of its parameters."""
    called: list[tuple[str, dict[str, object]]] = []

    class Told(Ivschat):
        async def _call(self, operation: str, kind: Any, /, **params: object) -> Any:
            called.append((operation, params))

    client = Told()
    for name, operation in OPERATIONS.items():
        params = {requests.snake(member): object() for member in operation.input.members}
        await getattr(client, requests.snake(name))(**params)
        assert called.pop() == (name, params)
