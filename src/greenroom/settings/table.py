"""Every setting once: its name, default, kind and meaning."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from greenroom.model.quotas import RateProfile
from greenroom.network.forwarded import ForwardedHeader
from greenroom.network.origins import normalized
from greenroom.protocol import base_path
from greenroom.settings import servers
from greenroom.settings.kinds import (
    destinations,
    either,
    endpoint,
    integer,
    matching,
    network,
    networks,
    one_of,
    path,
    quotas,
    table,
    text,
    texts,
)

PREFIX = "GREENROOM_"

MOST_PROCESSES = 64


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


_region = matching("[a-z0-9-]{1,32}", "a region such as us-east-1")

# A row says what is taken, and below it what that means: formatted as calls, it took six lines.
# fmt: off
SETTINGS: tuple[Setting, ...] = (
    # where it is, and what it keeps
    Setting("host", "127.0.0.1", text, "address to listen on"),
    Setting("port", 8470, integer(0, 65535), "port to listen on; 0 takes a free one"),
    Setting("data_dir", Path("greenroom-data"), path, "directory of everything that is kept"),
    Setting("storage", "sqlite", servers.storage,
        "sqlite keeps everything in data_dir, memory forgets everything at the end; the URL of a"
        " PostgreSQL shares everything among the nodes of a cluster"),
    Setting("storage_password_file", None, path,
        "file that holds the password for storage; read again for each connection"),
    Setting("bus", "memory", servers.bus,
        "memory is one node's; URLs of NATS servers, with commas between them, connect the nodes of"
        " a cluster"),
    Setting("bus_replicas", "auto", one_of("auto", "1", "3", "5"),
        "NATS servers that keep each message; auto is 3 where bus names as many, else 1"),
    Setting("bus_stream_bytes", 268_435_456, integer(8_388_608, 1_099_511_627_776),
        "bytes of each of the 16 streams; when one is full before its hour is over, its oldest"
        " messages go"),
    Setting("bus_user", None, text, "user for bus; goes with bus_password_file"),
    Setting("bus_password_file", None, path,
        "file that holds the password for bus; like the next ones read again for each connection"),
    Setting("bus_token_file", None, path, "file that holds a token for bus"),
    Setting("bus_nkey_file", None, path, "file that holds the seed of an nkey for bus"),
    Setting("bus_credentials_file", None, path,
        "file of credentials for bus, with a JWT and the seed of its nkey"),
    Setting("bus_tls_ca_file", None, path,
        "PEM file of who signs the certificates of bus; the system's when not given; like the"
        " next two read again for each connection"),
    Setting("bus_tls_certificate_file", None, path,
        "PEM file of the certificate that this node shows to bus"),
    Setting("bus_tls_key_file", None, path, "PEM file of that certificate's key, not encrypted"),
    Setting("processes", 1, integer(1, MOST_PROCESSES),
        "processes that serve behind the port, so that as many cores do; more than one need storage"
        " and bus of a cluster, in which each is a node"),
    Setting("ready_file", None, path, "file to write, once ready, with URLs, pid and access key"),
    # who may use it
    Setting("region", "us-east-1", _region,
        "region that requests are to be signed for, and rooms are in"),
    Setting("regions", (), texts(lambda text: text == "*" or _region(text)),
        "further regions to serve, each a world of its own with quotas of its own; * serves any,"
        " which test systems need"),
    Setting("account", "123456789012", matching("[0-9]{12}", "an account id of 12 digits"),
        "account that the root access key belongs to"),
    Setting("access_key_id", None,
        matching("[A-Za-z0-9]{16,128}", "an access key id of 16 to 128 letters and digits"),
        "id of the root access key; created at the first start when not given"),
    Setting("secret_access_key", None, matching(r"\S{16,128}", "a secret of 16 to 128 characters"),
        "secret of the root access key; given together with its id, or not at all", secret=True),
    Setting("identities_file", None, path,
        "TOML file that declares users, roles and policies; applied at start and on SIGHUP"),
    Setting("secrets_key", None, text,
        "key that seals secrets at rest, 32 bytes as base64; by default in data_dir/secrets.key;"
        " in a cluster it is to be given, the same to each node",
        secret=True),
    Setting("secrets_key_file", None, path, "file that holds secrets_key"),
    Setting("audit_log", "on", text,
        "on writes data_dir/audit.log, off writes none, else the path of the file to append to"),
    Setting("audit_log_bytes", 268_435_456, either(0, integer(1_048_576, 1_099_511_627_776)),
        "bytes of the audit log's file, before a new one is begun; 0 leaves that to logrotate"),
    Setting("audit_log_hours", 0, integer(0, 87_600),
        "hours of the audit log's file, before a new one is begun; 0 is no bound"),
    Setting("audit_log_files", 16, integer(1, 10_000),
        "full files of the audit log that are kept; the oldest are deleted"),
    # TLS, proxies and web pages
    Setting("tls_certificate_file", None, path,
        "PEM file of the certificate with its chain: TLS in this process; read again when changed"),
    Setting("tls_key_file", None, path, "PEM file of the certificate's key, not encrypted"),
    Setting("dev_tls", "off", one_of("on", "off"),
        "TLS with a certificate of its own for this machine, kept in data_dir; for development"),
    Setting("base_path", None, base_path.checked,
        "path of the endpoint URLs that clients have, such as /chat; a proxy may pass it on or"
        " not"),
    Setting("trusted_proxies", (), texts(network),
        "addresses and networks of the proxies that are believed about their clients"),
    Setting("forwarded_header", ForwardedHeader.X_FORWARDED_FOR.value,
        one_of(*(header.value for header in ForwardedHeader)),
        "header in which trusted proxies name the client"),
    Setting("forwarded_proto", "off", one_of("on", "off"),
        "whether trusted proxies overwrite X-Forwarded-Proto; off does not read it"),
    Setting("proxy_protocol", "off", one_of("on", "off"),
        "whether trusted proxies begin every connection with a PROXY header, version 1 or 2"),
    Setting("allowed_origins", (), texts(normalized),
        "origins of web pages that may open a WebSocket, such as https://example.com; none: all"),
    # rates and quotas
    Setting("request_rates", RateProfile.RELAXED.value,
        one_of(*(profile.value for profile in RateProfile)),
        "request rates: relaxed (1,000 a second each), aws (AWS's numbers) or off"),
    Setting("room_message_rates", "enforced", one_of("enforced", "off"),
        "whether rooms' maximumMessageRatePerSecond hold; off is for load tests"),
    Setting("quotas", {}, quotas, "quotas that differ from the defaults; 0 means no limit"),
    # how many connections
    Setting("memory_bytes", None, integer(67_108_864, 1 << 50),
        "memory of the process above which new WebSockets are refused; nine tenths of the"
        " container's, or the machine's, when not given"),
    Setting("connections_per_node", 100_000, integer(0, 1_000_000_000),
        "WebSockets of this process; 0, here and in the next settings, means no limit"),
    Setting("connections_per_address", 5_000, integer(0, 1_000_000_000),
        "connections from one address, or one /64 of IPv6; loopback and trusted proxies have none"),
    Setting("connections_per_room", 50_000, integer(0, 1_000_000_000), "WebSockets in one room"),
    Setting("connections_per_user", 5_000, integer(0, 1_000_000_000),
        "WebSockets of one user in one room"),
    Setting("new_connections_per_second", 5_000, integer(0, 1_000_000),
        "connections that begin in one second; further ones wait, or are closed"),
    Setting("new_connections_per_second_per_address", 1_000, integer(0, 1_000_000),
        "connections that begin in one second from one address; further ones are closed"),
    Setting("unfinished_connections", 10_000, integer(0, 1_000_000_000),
        "connections that have not finished a request or an upgrade; the oldest make place"),
    Setting("unfinished_connections_per_address", 1_000, integer(0, 1_000_000_000),
        "the same from one address; further ones are closed"),
    # one connection
    Setting("head_bytes", 65_536, integer(8_192, 1_048_576),
        "largest request line with its headers"),
    Setting("request_bodies_bytes", 67_108_864, integer(1_048_576, 1_099_511_627_776),
        "bytes of all request bodies that are being read, beyond the first 16 KiB of each"),
    Setting("header_count", 128, integer(16, 10_000), "most headers of one request"),
    Setting("frame_bytes", 65_536, integer(16_384, 16_777_216),
        "largest WebSocket message taken from a client"),
    Setting("outbound_queue_bytes", 1_048_576, integer(65_536, 1_073_741_824),
        "bytes that may wait for one reader before it is dropped as too slow"),
    Setting("handshake_timeout_seconds", 10, integer(1, 300),
        "seconds that a client may take for its request headers, for the body, to be upgraded, and"
        " to read an answer"),
    Setting("ping_interval_seconds", 30, integer(1, 3600),
        "seconds between pings; a peer that leaves two unanswered is dropped"),
    Setting("close_timeout_seconds", 5, integer(1, 300),
        "seconds that a client may take to answer a close frame"),
    Setting("io_uring", "auto", one_of("auto", "off"),
        "auto writes to the connections of rooms with one system call where Linux allows it"),
    # the end
    Setting("drain_timeout_seconds", 10, integer(1, 3600),
        "seconds that requests under way may take when the service stops"),
    Setting("drain_spread_seconds", 2, integer(0, 3600),
        "seconds over which more than 1,000 WebSockets end when the service stops or is taken over,"
        " so that they do not all come back at once; at most drain_timeout_seconds"),
    # message review
    Setting("review_handlers", {}, table,
        "what runs the functions of message review, by patterns of ARNs with * and ?:"
        " lambda, none, a URL or python:MODULE:FUNCTION; the first match counts, else lambda"),
    Setting("lambda_endpoint", None, endpoint,
        "URL of the Lambda API; AWS's own in the function's region when not given"),
    Setting("review_http_secret", None, matching(r"\S{16,256}", "a secret of 16 to 256 characters"),
        "secret that requests to HTTP review handlers are signed with", secret=True),
    Setting("review_http_allowed_networks", (), networks,
        "networks that are not public and may be asked for reviews, such as 127.0.0.0/8"),
    Setting("review_concurrency", 100, integer(1, 10_000),
        "messages that wait for one review handler at a time; further ones fall back at once"),
    Setting("review_circuit_failures", 10, integer(0, 1_000_000),
        "failures in a row after which a review handler is not asked for a while; 0 asks always"),
    Setting("review_circuit_seconds", 5, integer(1, 3600),
        "seconds that it is not asked, before one message tries again"),
    # chat logs
    Setting("chat_log_destinations", {}, destinations,
        "where chat logs go, by patterns of KIND:NAME: aws, files, or auto, which also counts for"
        " the rest; the first match counts"),
    Setting("chat_log_dir", None, path,
        "directory of chat logs in files; chat-logs in data_dir when not given; in a cluster one"
        " that its nodes share"),
    Setting("chat_log_object_seconds", 300, integer(1, 3600),
        "seconds that records for S3 wait for others before an object is made"),
    Setting("chat_log_object_bytes", 8_388_608, integer(65_536, 67_108_864),
        "bytes of records for S3 after which objects are made at once"),
    Setting("chat_log_batch_seconds", 5, integer(1, 300),
        "seconds that records for CloudWatch Logs and Firehose wait for others"),
    Setting("s3_endpoint", None, endpoint, "URL of S3, when it is not AWS's"),
    Setting("logs_endpoint", None, endpoint, "URL of CloudWatch Logs, when it is not AWS's"),
    Setting("firehose_endpoint", None, endpoint, "URL of Firehose, when it is not AWS's"),
    Setting("journal_bytes", 1_073_741_824, integer(1_048_576, 549_755_813_888),
        "bytes of chat that may wait for one log destination before the oldest are dropped"),
    Setting("journal_age_hours", 168, integer(1, 87_600),
        "hours that chat may wait for a log destination that fails before it is dropped"),
    Setting("journal_memory_bytes", 16_777_216, integer(65_536, 1_073_741_824),
        "bytes of chat that may wait for the disk, while it is full, on the way to the journal"),
    # logs and metrics
    Setting("log_level", "info", one_of("debug", "info", "warning", "error"),
        "least severe log line written to standard error"),
    Setting("log_format", "auto", one_of("auto", "console", "json"),
        "console for people, json for machines; auto is console on a terminal"),
    Setting("metrics", "on", one_of("on", "off"), "whether GET /metrics answers"),
    Setting("metrics_token", None,
        matching(r"[!-~]{16,128}", "a token of 16 to 128 printable characters without spaces"),
        "token that GET /metrics asks for; without one it answers only on a loopback address",
        secret=True),
    Setting("cloudwatch_metrics", "off", one_of("off", "on"),
        "whether the ten metrics of IVS Chat go to CloudWatch once a minute"),
    Setting("cloudwatch_namespace", "Greenroom/IVSChat",
        matching(r"[!-9;-~][ -~]{0,254}", "1 to 255 printable characters of ASCII, no colon first"),
        "namespace of these metrics; AWS refuses those that begin with AWS/"),
    Setting("cloudwatch_endpoint", None, endpoint, "URL of CloudWatch, when it is not AWS's"),
)
# fmt: on

BY_SETTING: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}
