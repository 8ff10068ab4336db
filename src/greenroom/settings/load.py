"""Every setting once: its name, default and meaning; where values come from; what is refused.

A value is taken from the first of: the command line, a `GREENROOM_*` variable, the TOML file, the
default. A name that is not in the table is refused wherever it appears, so that a typing error
never passes for a setting.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import msgspec

from greenroom.model.quotas import Quotas, RateProfile
from greenroom.network.forwarded import ForwardedHeader
from greenroom.network.origins import normalized
from greenroom.protocol.base_path import checked as _base_path
from greenroom.settings.alike import alike
from greenroom.settings.values import Network
from greenroom.settings.values import destinations as _destinations
from greenroom.settings.values import either as _either
from greenroom.settings.values import endpoint as _endpoint
from greenroom.settings.values import integer as _integer
from greenroom.settings.values import matching as _matching
from greenroom.settings.values import network as _network
from greenroom.settings.values import networks as _networks
from greenroom.settings.values import one_of as _one_of
from greenroom.settings.values import path as _path
from greenroom.settings.values import quotas as _quotas
from greenroom.settings.values import table as _table
from greenroom.settings.values import text as _text
from greenroom.settings.values import texts as _texts

PREFIX = "GREENROOM_"


class SettingsRefused(Exception):
    """The configuration cannot be used: the message is one clear line for the operator."""


class Setting(msgspec.Struct, frozen=True):
    """One setting: `parse` takes what the file or the environment holds, or raises ValueError."""

    name: str
    default: object
    parse: Callable[[object], object]
    meaning: str
    secret: bool = False

    @property
    def variable(self) -> str:
        """Return the name of the setting's environment variable."""
        return PREFIX + self.name.upper()


class Value(msgspec.Struct, frozen=True):
    """A setting's value and where it came from."""

    setting: Setting
    value: object
    origin: str

    def shown(self) -> str:
        """Return the value for people; a secret only says that it is there."""
        if self.setting.secret and self.value:
            return "(hidden)"
        if isinstance(self.value, dict):
            return ", ".join(f"{name}={number}" for name, number in self.value.items())
        if isinstance(self.value, tuple):
            return ", ".join(str(each) for each in self.value)
        return "" if self.value is None else str(self.value)


_region = _matching("[a-z0-9-]{1,32}", "a region such as us-east-1")


SETTINGS: tuple[Setting, ...] = (
    # where it is, and what it keeps
    Setting("host", "127.0.0.1", _text, "address to listen on"),
    Setting("port", 8470, _integer(0, 65535), "port to listen on; 0 takes a free one"),
    Setting("data_dir", Path("greenroom-data"), _path, "directory of everything that is kept"),
    Setting(
        "storage",
        "sqlite",
        _one_of("sqlite", "memory"),
        "sqlite keeps everything in data_dir, memory forgets everything at the end",
    ),
    Setting("ready_file", None, _path, "file to write, once ready, with URLs, pid and access key"),
    # who may use it
    Setting(
        "region",
        "us-east-1",
        _region,
        "region that requests are to be signed for, and rooms are in",
    ),
    Setting(
        "regions",
        (),
        _texts(lambda text: text == "*" or _region(text)),
        "further regions to serve, each a world of its own with quotas of its own; * serves any,"
        " which test systems need",
    ),
    Setting(
        "account",
        "123456789012",
        _matching("[0-9]{12}", "an account id of 12 digits"),
        "account that the root access key belongs to",
    ),
    Setting(
        "access_key_id",
        None,
        _matching("[A-Za-z0-9]{16,128}", "an access key id of 16 to 128 letters and digits"),
        "id of the root access key; created at the first start when not given",
    ),
    Setting(
        "secret_access_key",
        None,
        _matching(r"\S{16,128}", "a secret of 16 to 128 characters"),
        "secret of the root access key; given together with its id, or not at all",
        secret=True,
    ),
    Setting(
        "identities_file",
        None,
        _path,
        "TOML file that declares users, roles and policies; applied at start and on SIGHUP",
    ),
    Setting(
        "secrets_key",
        None,
        _text,
        "key that seals secrets at rest, 32 bytes as base64; by default in data_dir/secrets.key",
        secret=True,
    ),
    Setting("secrets_key_file", None, _path, "file that holds secrets_key"),
    Setting(
        "audit_log",
        "on",
        _text,
        "on writes data_dir/audit.log, off writes none, else the path of the file to append to",
    ),
    Setting(
        "audit_log_bytes",
        268_435_456,
        _either(0, _integer(1_048_576, 1_099_511_627_776)),
        "bytes of the audit log's file, before a new one is begun; 0 leaves that to logrotate",
    ),
    Setting(
        "audit_log_hours",
        0,
        _integer(0, 87_600),
        "hours of the audit log's file, before a new one is begun; 0 is no bound",
    ),
    Setting(
        "audit_log_files",
        16,
        _integer(1, 10_000),
        "full files of the audit log that are kept; the oldest are deleted",
    ),
    # TLS, proxies and web pages
    Setting(
        "tls_certificate_file",
        None,
        _path,
        "PEM file of the certificate with its chain: TLS in this process; read again when changed",
    ),
    Setting("tls_key_file", None, _path, "PEM file of the certificate's key, not encrypted"),
    Setting(
        "dev_tls",
        "off",
        _one_of("on", "off"),
        "TLS with a certificate of its own for this machine, kept in data_dir; for development",
    ),
    Setting(
        "base_path",
        None,
        _base_path,
        "path of the endpoint URLs that clients have, such as /chat; a proxy may pass it on or not",
    ),
    Setting(
        "trusted_proxies",
        (),
        _texts(_network),
        "addresses and networks of the proxies that are believed about their clients",
    ),
    Setting(
        "forwarded_header",
        ForwardedHeader.X_FORWARDED_FOR.value,
        _one_of(*(header.value for header in ForwardedHeader)),
        "header in which trusted proxies name the client",
    ),
    Setting(
        "forwarded_proto",
        "off",
        _one_of("on", "off"),
        "whether trusted proxies overwrite X-Forwarded-Proto; off does not read it",
    ),
    Setting(
        "proxy_protocol",
        "off",
        _one_of("on", "off"),
        "whether trusted proxies begin every connection with a PROXY header, version 1 or 2",
    ),
    Setting(
        "allowed_origins",
        (),
        _texts(normalized),
        "origins of web pages that may open a WebSocket, such as https://example.com; none: all",
    ),
    # rates and quotas
    Setting(
        "request_rates",
        RateProfile.RELAXED.value,
        _one_of(*(profile.value for profile in RateProfile)),
        "request rates: relaxed (1,000 a second each), aws (AWS's numbers) or off",
    ),
    Setting(
        "room_message_rates",
        "enforced",
        _one_of("enforced", "off"),
        "whether rooms' maximumMessageRatePerSecond hold; off is for load tests",
    ),
    Setting("quotas", {}, _quotas, "quotas that differ from the defaults; 0 means no limit"),
    # how many connections
    Setting(
        "memory_bytes",
        None,
        _integer(67_108_864, 1 << 50),
        "memory of the process above which new WebSockets are refused; nine tenths of the"
        " container's, or the machine's, when not given",
    ),
    Setting(
        "connections_per_node",
        100_000,
        _integer(0, 1_000_000_000),
        "WebSockets of this process; 0, here and in the next settings, means no limit",
    ),
    Setting(
        "connections_per_address",
        5_000,
        _integer(0, 1_000_000_000),
        "connections from one address, or one /64 of IPv6; loopback and trusted proxies have none",
    ),
    Setting("connections_per_room", 50_000, _integer(0, 1_000_000_000), "WebSockets in one room"),
    Setting(
        "connections_per_user",
        5_000,
        _integer(0, 1_000_000_000),
        "WebSockets of one user in one room",
    ),
    Setting(
        "new_connections_per_second",
        5_000,
        _integer(0, 1_000_000),
        "connections that begin in one second; further ones wait, or are closed",
    ),
    Setting(
        "new_connections_per_second_per_address",
        1_000,
        _integer(0, 1_000_000),
        "connections that begin in one second from one address; further ones are closed",
    ),
    Setting(
        "unfinished_connections",
        10_000,
        _integer(0, 1_000_000_000),
        "connections that have not finished a request or an upgrade; the oldest make place",
    ),
    Setting(
        "unfinished_connections_per_address",
        1_000,
        _integer(0, 1_000_000_000),
        "the same from one address; further ones are closed",
    ),
    # one connection
    Setting(
        "head_bytes", 65_536, _integer(8_192, 1_048_576), "largest request line with its headers"
    ),
    Setting(
        "request_bodies_bytes",
        67_108_864,
        _integer(1_048_576, 1_099_511_627_776),
        "bytes of all request bodies that are being read, beyond the first 16 KiB of each",
    ),
    Setting("header_count", 128, _integer(16, 10_000), "most headers of one request"),
    Setting(
        "frame_bytes",
        65_536,
        _integer(16_384, 16_777_216),
        "largest WebSocket message taken from a client",
    ),
    Setting(
        "outbound_queue_bytes",
        1_048_576,
        _integer(65_536, 1_073_741_824),
        "bytes that may wait for one reader before it is dropped as too slow",
    ),
    Setting(
        "handshake_timeout_seconds",
        10,
        _integer(1, 300),
        "seconds that a client may take for its request headers, for the body, to be upgraded, and"
        " to read an answer",
    ),
    Setting(
        "ping_interval_seconds",
        30,
        _integer(1, 3600),
        "seconds between pings; a peer that leaves two unanswered is dropped",
    ),
    Setting(
        "close_timeout_seconds",
        5,
        _integer(1, 300),
        "seconds that a client may take to answer a close frame",
    ),
    Setting(
        "io_uring",
        "auto",
        _one_of("auto", "off"),
        "auto writes to the connections of rooms with one system call where Linux allows it",
    ),
    # the end
    Setting(
        "drain_timeout_seconds",
        10,
        _integer(1, 3600),
        "seconds that requests under way may take when the service stops",
    ),
    Setting(
        "drain_spread_seconds",
        2,
        _integer(0, 3600),
        "seconds over which more than 1,000 WebSockets end when the service stops or is taken over,"
        " so that they do not all come back at once; at most drain_timeout_seconds",
    ),
    # message review
    Setting(
        "review_handlers",
        {},
        _table,
        "what runs the functions of message review, by patterns of ARNs with * and ?:"
        " lambda, none, a URL or python:MODULE:FUNCTION; the first match counts, else lambda",
    ),
    Setting(
        "lambda_endpoint",
        None,
        _endpoint,
        "URL of the Lambda API; AWS's own in the function's region when not given",
    ),
    Setting(
        "review_http_secret",
        None,
        _matching(r"\S{16,256}", "a secret of 16 to 256 characters"),
        "secret that requests to HTTP review handlers are signed with",
        secret=True,
    ),
    Setting(
        "review_http_allowed_networks",
        (),
        _networks,
        "networks that are not public and may be asked for reviews, such as 127.0.0.0/8",
    ),
    Setting(
        "review_concurrency",
        100,
        _integer(1, 10_000),
        "messages that wait for one review handler at a time; further ones fall back at once",
    ),
    Setting(
        "review_circuit_failures",
        10,
        _integer(0, 1_000_000),
        "failures in a row after which a review handler is not asked for a while; 0 asks always",
    ),
    Setting(
        "review_circuit_seconds",
        5,
        _integer(1, 3600),
        "seconds that it is not asked, before one message tries again",
    ),
    # chat logs
    Setting(
        "chat_log_destinations",
        {},
        _destinations,
        "where chat logs go, by patterns of KIND:NAME: aws, files, or auto, which also counts for"
        " the rest; the first match counts",
    ),
    Setting(
        "chat_log_dir",
        None,
        _path,
        "directory of chat logs in files; chat-logs in data_dir when not given",
    ),
    Setting(
        "chat_log_object_seconds",
        300,
        _integer(1, 3600),
        "seconds that records for S3 wait for others before an object is made",
    ),
    Setting(
        "chat_log_object_bytes",
        8_388_608,
        _integer(65_536, 67_108_864),
        "bytes of records for S3 after which objects are made at once",
    ),
    Setting(
        "chat_log_batch_seconds",
        5,
        _integer(1, 300),
        "seconds that records for CloudWatch Logs and Firehose wait for others",
    ),
    Setting("s3_endpoint", None, _endpoint, "URL of S3, when it is not AWS's"),
    Setting("logs_endpoint", None, _endpoint, "URL of CloudWatch Logs, when it is not AWS's"),
    Setting("firehose_endpoint", None, _endpoint, "URL of Firehose, when it is not AWS's"),
    Setting(
        "journal_bytes",
        1_073_741_824,
        _integer(1_048_576, 549_755_813_888),
        "bytes of chat that may wait for one log destination before the oldest are dropped",
    ),
    Setting(
        "journal_age_hours",
        168,
        _integer(1, 87_600),
        "hours that chat may wait for a log destination that fails before it is dropped",
    ),
    Setting(
        "journal_memory_bytes",
        16_777_216,
        _integer(65_536, 1_073_741_824),
        "bytes of chat that may wait for the disk, while it is full, on the way to the journal",
    ),
    # logs and metrics
    Setting(
        "log_level",
        "info",
        _one_of("debug", "info", "warning", "error"),
        "least severe log line written to standard error",
    ),
    Setting(
        "log_format",
        "auto",
        _one_of("auto", "console", "json"),
        "console for people, json for machines; auto is console on a terminal",
    ),
    Setting(
        "metrics",
        "on",
        _one_of("on", "off"),
        "whether GET /metrics answers",
    ),
    Setting(
        "metrics_token",
        None,
        _matching(r"[!-~]{16,128}", "a token of 16 to 128 printable characters without spaces"),
        "token that GET /metrics asks for; without one it answers only on a loopback address",
        secret=True,
    ),
    Setting(
        "cloudwatch_metrics",
        "off",
        _one_of("off", "on"),
        "whether the ten metrics of IVS Chat go to CloudWatch once a minute",
    ),
    Setting(
        "cloudwatch_namespace",
        "Greenroom/IVSChat",
        _matching(
            r"[!-9;-~][ -~]{0,254}", "1 to 255 printable characters of ASCII, no colon first"
        ),
        "namespace of these metrics; AWS refuses those that begin with AWS/",
    ),
    Setting("cloudwatch_endpoint", None, _endpoint, "URL of CloudWatch, when it is not AWS's"),
)

BY_SETTING: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}


class Settings:
    """The values of all settings."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self.values = values

    def text(self, name: str) -> str:
        """Return a setting that is text."""
        return cast(str, self.values[name].value)

    def optional_text(self, name: str) -> str | None:
        """Return a setting that is text or not given."""
        return cast(str | None, self.values[name].value)

    def number(self, name: str) -> int:
        """Return a setting that is a whole number."""
        return cast(int, self.values[name].value)

    def optional_number(self, name: str) -> int | None:
        """Return a setting that is a whole number or not given."""
        return cast(int | None, self.values[name].value)

    def path(self, name: str) -> Path:
        """Return a setting that is a path."""
        return cast(Path, self.values[name].value)

    def optional_path(self, name: str) -> Path | None:
        """Return a setting that is a path or not given."""
        return cast(Path | None, self.values[name].value)

    def table(self, name: str) -> dict[str, str]:
        """Return a setting that is a table of texts, in order."""
        return cast(dict[str, str], self.values[name].value)

    def networks(self, name: str) -> tuple[Network, ...]:
        """Return a setting that is a list of networks."""
        return cast(tuple[Network, ...], self.values[name].value)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a setting that is a list of texts."""
        return cast(tuple[str, ...], self.values[name].value)

    def served_regions(self) -> frozenset[str] | None:
        """Return the regions that requests may be signed for; None for any."""
        further = self.texts("regions")
        return None if "*" in further else frozenset((self.text("region"), *further))

    def quotas(self) -> Quotas:
        """Return the quotas in force."""
        overrides = cast(dict[str, int], self.values["quotas"].value)
        return Quotas(
            RateProfile(self.text("request_rates")),
            overrides,
            self.text("room_message_rates") == "enforced",
        )


def load(
    flags: Mapping[str, object], environment: Mapping[str, str], file: Path | None
) -> Settings:
    """Collect the settings; `flags` holds the options that were given.

    Raises:
        SettingsRefused: a name is unknown, a value breaks its rule, the file cannot be read.
    """
    values = {each.name: Value(each, each.default, "default") for each in SETTINGS}
    for name, raw in _read(file).items():
        values[name] = _parsed(name, raw, f"file {file}")
    for variable, raw in environment.items():
        if variable.startswith(PREFIX) and variable not in _RESERVED:
            name = variable.removeprefix(PREFIX).lower()
            values[name] = _parsed(name, raw, f"variable {variable}", variable)
    for name, raw in flags.items():
        values[name] = _parsed(name, raw, "command line", "--" + name.replace("_", "-"))
    settings = Settings(values)
    if (settings.optional_text("access_key_id") is None) != (
        settings.optional_text("secret_access_key") is None
    ):
        raise SettingsRefused("access_key_id and secret_access_key go together: give both or none")
    _check_tls(settings)
    _check_proxies(settings)
    return settings


def _check_proxies(settings: Settings) -> None:
    for name in ("proxy_protocol", "forwarded_proto"):
        if settings.text(name) == "on" and not settings.texts("trusted_proxies"):
            raise SettingsRefused(f"{name} needs trusted_proxies: nobody else is believed")
    if (
        settings.text("forwarded_proto") == "on"
        and settings.text("forwarded_header") != ForwardedHeader.X_FORWARDED_FOR.value
    ):
        raise SettingsRefused(
            "forwarded_proto goes with x-forwarded-for: the header forwarded has a proto of its own"
        )


def _check_tls(settings: Settings) -> None:
    files = [settings.optional_path(name) for name in ("tls_certificate_file", "tls_key_file")]
    if (files[0] is None) != (files[1] is None):
        raise SettingsRefused(
            "tls_certificate_file and tls_key_file go together: give both or none"
        )
    if files[0] is not None and settings.text("dev_tls") == "on":
        raise SettingsRefused("dev_tls makes a certificate: give none beside it")


_RESERVED = frozenset({PREFIX + "CONFIG"})


def config_file(flag: Path | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the configuration file: the flag's, else that of `GREENROOM_CONFIG`, else none."""
    if flag is not None:
        return flag
    variable = environment.get(PREFIX + "CONFIG")
    return Path(variable) if variable else None


def _read(file: Path | None) -> dict[str, object]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsRefused(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"{file} is not TOML: {error}") from None


def _parsed(name: str, raw: object, origin: str, spelled: str | None = None) -> Value:
    setting, place = BY_SETTING.get(name), "" if spelled else f" ({origin})"
    if setting is None:
        raise SettingsRefused(f"unknown setting {spelled or name}{place}{_meant(name, spelled)}")
    try:
        return Value(setting, setting.parse(str(raw) if isinstance(raw, Path) else raw), origin)
    except ValueError as error:
        raise SettingsRefused(f"{spelled or name} {error}{place}") from None


def _meant(name: str, spelled: str | None) -> str:
    """Return the end of the refusal of a name: the setting that it looks like, spelled alike."""
    found = alike(name, BY_SETTING)
    if found is None:
        return "; see greenroom config"
    is_variable = spelled is not None and spelled.startswith(PREFIX)
    return f": did you mean {BY_SETTING[found].variable if is_variable else found}?"
