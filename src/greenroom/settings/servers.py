"""The URLs of servers of others: PostgreSQL's and NATS's, in which a password may stand.

What is refused is said without the URL, since what is wrong may be its password.
"""

import re
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

POSTGRESQL = ("postgresql", "postgres")
"""The schemes of a database."""

NATS = ("nats", "tls")
"""The schemes of a bus; `tls` takes no server that does not encrypt."""

MOST_SERVERS = 16
"""The most servers that one setting names."""

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

PARAMETERS = frozenset(
    {
        *("host", "passfile", "target_session_attrs", "krbsrvname", "gsslib", "application_name"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword"),
        *("sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version"),
    }
)
"""What may stand behind the question mark of a database's URL: libpq's names."""

_SECRET_PARAMETERS = frozenset({"sslpassword"})


class ServerUrls(str):
    """One URL or several, with what they need to be let in: `shown` is without it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"ServerUrls({self.shown!r})"

    @property
    def shown(self) -> str:
        """Return the URLs without passwords and tokens."""
        bare = re.sub(r"(?<=://)([^/@,?]*)@", _without_secret, self)
        return re.sub(rf"\b({'|'.join(_SECRET_PARAMETERS)})=[^&]*", r"\1=***", bare)

    @property
    def has_secret(self) -> bool:
        """Return whether there is a password or a token in it."""
        return self.shown != str(self)

    @property
    def each(self) -> tuple[str, ...]:
        """Return the URLs one by one."""
        return tuple(self.split(","))


def _without_secret(found: re.Match[str]) -> str:
    user, colon, _ = found[1].partition(":")
    # What stands alone before the @ of a bus is a token; of a database it is the user.
    alone = "***" if found.string.startswith(tuple(f"{each}://" for each in NATS)) else user
    return f"{user}:***@" if colon else f"{alone}@"


def storage(raw: object) -> str:
    """Take `sqlite`, `memory`, or the URL of a PostgreSQL database."""
    if raw in ("sqlite", "memory"):
        return str(raw)
    scheme = raw.partition("://")[0] if isinstance(raw, str) else ""
    if not isinstance(raw, str) or scheme not in POSTGRESQL:
        raise ValueError(
            "must be one of sqlite, memory, or postgresql://USER@HOST:PORT/DATABASE?sslmode=…"
        )
    parts = _split(raw)
    parameters = _parameters(parts.query)
    _check_hosts(parts.netloc.rpartition("@")[2], optional=parameters.get("host", "")[:1] == "/")
    if not parts.path.strip("/") or "/" in parts.path[1:]:
        raise ValueError("must name the database: postgresql://USER@HOST:PORT/DATABASE")
    return ServerUrls(raw)


def bus(raw: object) -> str:
    """Take `memory`, or the URLs of NATS servers with commas between them, or a list of them."""
    if raw == "memory":
        return "memory"
    words = raw.split(",") if isinstance(raw, str) else raw
    rule = "must be memory, or URLs of NATS such as nats://HOST:PORT, with commas between them"
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(rule)
    urls = [word.strip() for word in words if word.strip()]
    if not 1 <= len(urls) <= MOST_SERVERS:
        raise ValueError(f"{rule}; 1 to {MOST_SERVERS}")
    schemes = {url.partition("://")[0] for url in urls}
    if not schemes <= set(NATS):
        raise ValueError(rule)
    if len(schemes) > 1:
        raise ValueError("must have one scheme for all: nats:// or tls://")
    for url in urls:
        parts = _split(url)
        if parts.path.strip("/") or parts.query or "," in url:
            raise ValueError(
                "must end behind the port: nats://HOST:PORT, several with commas between"
            )
        _check_hosts(parts.netloc.rpartition("@")[2])
    if len({urlsplit(url).netloc.rpartition("@")[0] for url in urls}) > 1:
        raise ValueError("must have the same user and password, or token, in each URL")
    return ServerUrls(",".join(url.rstrip("/") for url in urls))


def _split(url: str) -> SplitResult:
    if not url.isprintable() or " " in url:
        raise ValueError("must be printable, without spaces: write special characters as %XX")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("is no URL: write special characters of a password as %XX") from None
    if "#" in url:
        raise ValueError("must have no #: write it as %23 in a password")
    if parts.netloc.count("@") > 1:
        raise ValueError("must have one @: write it as %40 in a password")
    return parts


def _check_hosts(hosts: str, *, optional: bool = False) -> None:
    if optional and not hosts:
        return
    for host in hosts.split(","):
        found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?", host)
        if found is None and re.fullmatch(r"[A-Za-z0-9._-]{1,253}:[^:]*", host):
            raise ValueError("must have a port from 1 to 65535, in digits")
        if found is None:
            raise ValueError("must name a host, as HOST or HOST:PORT")
        if found[2] is not None and not 1 <= int(found[2]) <= 65535:
            raise ValueError("must have a port from 1 to 65535")


def _parameters(query: str) -> dict[str, str]:
    try:
        found = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError:
        raise ValueError("must have NAME=VALUE behind the question mark, with & between") from None
    for name in found:
        if name not in PARAMETERS:
            shown = name if re.fullmatch(r"[a-z_]{1,40}", name) else "one of its parameters"
            raise ValueError(f"has {shown} behind the question mark, which is not known")
    if found.get("sslmode", "prefer") not in SSL_MODES:
        raise ValueError(f"must have an sslmode of {', '.join(SSL_MODES)}")
    return found


def hosts_of(url: str) -> list[str]:
    """Return the hosts of a URL of a database; none where it is reached by a socket in a folder."""
    named = urlsplit(url).netloc.rpartition("@")[2]
    return [unquote(re.sub(r":[0-9]+$", "", host)).strip("[]") for host in named.split(",") if host]


def ssl_mode_of(url: str) -> str:
    """Return the sslmode that a URL of a database asks for, libpq's default when it does not."""
    return dict(parse_qsl(urlsplit(url).query)).get("sslmode", "prefer")
