"""What the options of a client mean, and what the environment says in their place."""

from datetime import date
from typing import Any

import pytest

from greenroom.client.api import options
from greenroom.client.api.errors import ConfigError
from greenroom.client.api.options import HttpOptions, ParamValidation


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


def test_rules() -> None:
    """All that there are, none, or those that are chosen."""
    assert options.rules_of(True) == options.rules_of(None) == ParamValidation(min=True)
    assert options.rules_of(False) is None
    chosen = ParamValidation(max=True)
    assert options.rules_of(chosen) is chosen
    assert options.rules_of({"max": True}) == chosen


def test_an_option_that_consists_of_several() -> None:
    """It is given as such or as a mapping, which has its members alone; nothing is its defaults."""
    chosen = HttpOptions(timeout=7)
    assert options.option(HttpOptions, chosen, "http_options") is chosen
    assert options.option(HttpOptions, {"timeout": 7}, "http_options") == chosen
    assert options.option(HttpOptions, None, "http_options") == HttpOptions()
    with pytest.raises(ConfigError, match=r"^ConfigError: http_options: .*'time'"):
        options.option(HttpOptions, {"time": 7}, "http_options")
    with pytest.raises(ConfigError, match="http_options must be a HttpOptions or a mapping"):
        options.option(HttpOptions, 5, "http_options")


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
    ("given", "ssl_enabled", "url"),
    [
        ("here:1", True, "https://here:1"),
        ("here:1", False, "http://here:1"),
        ("http://here", True, "http://here"),
        ("{scheme}://{service}.{region}/base", False, "http://greenroom.r/base"),
    ],
)
def test_the_endpoint_of_a_service_that_aws_does_not_have(
    given: str, url: str, *, ssl_enabled: bool
) -> None:
    """It has to be said; what has no scheme gets the one that is asked for."""
    found = options.endpoint_of(given, "r", ssl_enabled=ssl_enabled, service="greenroom")
    assert f"{found.scheme}://{found.host}{found.path}" == url
    with pytest.raises(ConfigError, match="Missing endpoint in config: AWS has no greenroom"):
        options.endpoint_of(None, "r", ssl_enabled=ssl_enabled, service="greenroom")


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
