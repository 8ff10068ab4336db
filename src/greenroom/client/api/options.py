"""The options of `Ivschat`, under the names and with the defaults of the SDK for JavaScript.

Times are in milliseconds, as there.
"""

import os
import re
from collections.abc import Callable, Mapping
from datetime import date
from ssl import SSLContext
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from greenroom.client.api.errors import ConfigError, IvschatError

API_VERSION = "2020-07-14"
MAX_RETRIES = 3

_REGION = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL"
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")

T = TypeVar("T")


class RetryDelayOptions(msgspec.Struct, frozen=True):
    """How long to wait before an attempt is made again."""

    base: float = 100
    """Milliseconds; the wait before retry N, from 0, is at random up to `base` times 2 to the N."""
    custom_backoff: Callable[[int, IvschatError], float] | None = None
    """Returns the milliseconds itself, from N and the error; when negative, it ends."""


class ParamValidation(msgspec.Struct, frozen=True):
    """Which rules of the model are looked at before a request is sent."""

    min: bool = False
    max: bool = False
    pattern: bool = False
    enum: bool = False


class EndpointKind(msgspec.Struct, frozen=True):
    """Which of AWS's endpoints of a region is meant; None is what the environment says."""

    fips: bool | None = None
    dualstack: bool | None = None

    def template(self, region: str) -> str:
        """Return the host, with `{service}` and `{region}` in it."""
        fips = _chosen(self.fips, "AWS_USE_FIPS_ENDPOINT")
        dualstack = _chosen(self.dualstack, "AWS_USE_DUALSTACK_ENDPOINT")
        domains = _CHINA if region.startswith("cn-") else _ELSEWHERE
        return f"{{service}}{'-fips' if fips else ''}.{{region}}.{domains[dualstack]}"


USUAL = EndpointKind()

_ELSEWHERE = {False: "amazonaws.com", True: "api.aws"}
_CHINA = {False: "amazonaws.com.cn", True: "api.amazonwebservices.com.cn"}
"""The domains of AWS's endpoints, by whether they have IPv6 as well."""


def _chosen(given: bool | None, variable: str) -> bool:
    return os.environ.get(variable, "").lower() == "true" if given is None else given


class HttpOptions(msgspec.Struct, frozen=True):
    """How the service is reached."""

    proxy: str | None = None
    """The URL of a proxy; without it the environment's are used."""
    connect_timeout: float | None = None
    """Milliseconds until there is a connection, looking up the host and waiting for one of the
    pool included; without it, `timeout`."""
    timeout: float = 120_000
    """Milliseconds in which nothing comes."""
    connector: aiohttp.BaseConnector | None = None
    """A pool of connections to share; its owner closes it."""
    ssl: SSLContext | bool = True
    """aiohttp's; False looks at no certificate."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where requests go."""

    scheme: str
    host: str
    """With the port, unless it is the scheme's own."""
    path: str
    """Without a slash at its end."""


def option(kind: type[T], given: object, name: str) -> T:
    """Return an option that consists of several, given as such or as a mapping.

    Raises:
        ConfigError: it is neither, or there is no such member.
    """
    if isinstance(given, kind):
        return given
    if given is None:
        given = {}
    try:
        if isinstance(given, Mapping):
            return kind(**given)
    except TypeError as error:
        raise ConfigError("ConfigError", f"{name}: {error}") from None
    raise ConfigError("ConfigError", f"{name} must be a {kind.__name__} or a mapping")


def rules_of(param_validation: object) -> ParamValidation | None:
    """Return the rules that parameters are checked by, None for no check at all."""
    if param_validation is False:
        return None
    if param_validation is True or param_validation is None:
        return ParamValidation(min=True)
    return option(ParamValidation, param_validation, "param_validation")


def check_versions(
    api_version: str | date | None,
    api_versions: Mapping[str, str | date],
    signature_version: str | None,
) -> None:
    """Accept versions that there are.

    Raises:
        ConfigError: no API is as old as that, or requests are signed otherwise.
    """
    wanted = str(api_versions.get("ivschat") or api_version or "latest")
    if wanted != "latest" and wanted < API_VERSION:
        raise ConfigError(
            "ConfigError", f"Could not find Ivschat API to satisfy version constraint `{wanted}'"
        )
    if signature_version not in (None, "v4"):
        raise ConfigError("ConfigError", "signature_version must be v4")


def region_of_environment() -> str | None:
    """Return the region that the environment names."""
    return next((os.environ[name] for name in _REGION_VARIABLES if os.environ.get(name)), None)


def checked_region(region: str | None) -> str:
    """Return the region.

    Raises:
        ConfigError: there is none, or it cannot be a part of a host's name.
    """
    if not region:
        raise ConfigError("ConfigError", "Missing region in config")
    if not _REGION.fullmatch(region):
        raise ConfigError("ConfigError", "Invalid region in config")
    return region


def endpoint_of(
    given: str | None,
    region: str,
    *,
    ssl_enabled: bool,
    kind: EndpointKind = USUAL,
    service: str = "ivschat",
) -> Endpoint:
    """Return where a region's requests go: where the option or the environment says, or to AWS.

    `{service}`, `{region}` and `{scheme}` stand for what they say; what has no scheme gets one.
    `kind` chooses among AWS's.

    Raises:
        ConfigError: it is no URL, or AWS does not have the service.
    """
    scheme = "https" if ssl_enabled else "http"
    text = given or _endpoint_of_environment(service)
    if not text and service != "ivschat":
        raise ConfigError("ConfigError", f"Missing endpoint in config: AWS has no {service}")
    text = text or kind.template(region)
    for name, value in (("service", service), ("region", region), ("scheme", scheme)):
        text = text.replace(f"{{{name}}}", value)
    return parsed_endpoint(text if text.startswith("http") else f"{scheme}://{text}")


def parsed_endpoint(url: str) -> Endpoint:
    """Return the endpoint of a URL.

    Raises:
        ConfigError: it is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError("ConfigError", "the endpoint is not a URL") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ConfigError("ConfigError", "the endpoint must be a URL of http or https")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        host = f"{host}:{port}"
    return Endpoint(parts.scheme, host, parts.path.rstrip("/"))


def _endpoint_of_environment(service: str) -> str | None:
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    names = (f"{_ENDPOINT_VARIABLE}_{service.upper()}", _ENDPOINT_VARIABLE)
    return next((os.environ[name] for name in names if os.environ.get(name)), None)
