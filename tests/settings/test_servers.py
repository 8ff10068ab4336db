"""The URLs of PostgreSQL and NATS: what is taken, what is refused, and what is never shown."""

import pytest

from greenroom.settings.servers import ServerUrls, bus, hosts_of, ssl_mode_of, storage

SECRET = "not-for-the-log"

DATABASES = [
    "postgresql://greenroom@db/greenroom",
    "postgres://greenroom:word@db.example:6432/greenroom?sslmode=verify-full&sslrootcert=/ca.pem",
    "postgresql://a:5432,b:5433,[::1]:5434/rooms?target_session_attrs=read-write",
    "postgresql://greenroom@/rooms?host=/run/postgresql",
    "postgresql://g%40b:p%2Fw%3F%23@db/rooms",
]


@pytest.mark.parametrize("url", DATABASES)
def test_databases(url: str) -> None:
    """One database on one server or several, or behind a socket in a folder."""
    assert storage(url) == url


@pytest.mark.parametrize("word", ["sqlite", "memory"])
def test_words(word: str) -> None:
    """The other stores are words."""
    assert storage(word) == word
    assert not isinstance(storage(word), ServerUrls)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("mysql://db/rooms", "must be one of sqlite, memory, or postgresql://"),
        ("", "must be one of sqlite"),
        (5, "must be one of sqlite"),
        ("postgresql://db", "must name the database"),
        ("postgresql://db/a/b", "must name the database"),
        ("postgresql://db//a", "must name the database"),
        ("postgresql:///rooms", "must name a host"),
        ("postgresql://db:0/rooms", "must have a port from 1 to 65535"),
        ("postgresql://db:65536/rooms", "must have a port from 1 to 65535"),
        ("postgresql://db:x/rooms", "must have a port from 1 to 65535, in digits"),
        (f"postgresql://u:{SECRET}@db/rooms?sslmode=on", "must have an sslmode of disable, allow"),
        (f"postgresql://u:{SECRET}@db/rooms?ssl=true", "has ssl behind the question mark"),
        (f"postgresql://u:{SECRET}@db/rooms?sslmode", "must have NAME=VALUE"),
        (f"postgresql://u:{SECRET}@b@db/rooms", "must have one @: write it as %40"),
        (f"postgresql://u:{SECRET}#x@db/rooms", "must have no #: write it as %23"),
        (f"postgresql://u:{SECRET} x@db/rooms", "must be printable, without spaces"),
        (f"postgresql://u:{SECRET}[x@db/rooms", "is no URL"),
        (f"postgresql://u:{SECRET}@db/rooms?X{SECRET}=1", "has one of its parameters"),
    ],
)
def test_refused_databases(url: object, rule: str) -> None:
    """The rule is said; the URL is not, because what breaks the rule may be its password."""
    with pytest.raises(ValueError, match="^" + rule.replace("?", r"\?")) as refused:
        storage(url)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("memory", "memory"),
        ("nats://a:4222", "nats://a:4222"),
        (" nats://a , nats://b/ ,", "nats://a,nats://b"),
        (["tls://a", "tls://[::1]:5"], "tls://a,tls://[::1]:5"),
        ("nats://u:w@a,nats://u:w@b", "nats://u:w@a,nats://u:w@b"),
        ("nats://token@a", "nats://token@a"),
        ("nats://a:1,nats://a:65535", "nats://a:1,nats://a:65535"),
        (",".join(["nats://a"] * 16), ",".join(["nats://a"] * 16)),
    ],
)
def test_buses(given: object, expected: str) -> None:
    """Servers stand in one text or in a list of the file."""
    assert bus(given) == expected


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ("redis://a", "must be memory, or URLs of NATS"),
        ("", "must be memory, or URLs of NATS"),
        ([], "must be memory, or URLs of NATS"),
        ([1], "must be memory, or URLs of NATS"),
        (["nats://a", 1], "must be memory, or URLs of NATS"),
        (["nats://a,nats://b"], "must end behind the port"),
        (True, "must be memory, or URLs of NATS"),
        (",".join(f"nats://h{n}" for n in range(17)), ".*; 1 to 16"),
        ("nats://a,tls://b", "must have one scheme for all"),
        ("nats://a/x", "must end behind the port"),
        ("nats://a?x=1", "must end behind the port"),
        ("nats://", "must name a host"),
        ("nats://a:2684x", "must have a port"),
        ("nats://a:4222;nats://b:4222", ".*commas between"),
        ("nats://a:99999", "must have a port"),
        (f"nats://u:{SECRET}@a,nats://b", "must have the same user and password, or token"),
        (f"nats://u:{SECRET}@a,nats://u:x@b", "must have the same user and password, or token"),
    ],
)
def test_refused_buses(given: object, rule: str) -> None:
    """What is refused is refused by its rule, without what may be secret."""
    with pytest.raises(ValueError, match="^" + rule) as refused:
        bus(given)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u@db/r", "postgresql://u@db/r"),
        (f"postgresql://u:{SECRET}@db/r?sslmode=require", "postgresql://u:***@db/r?sslmode=require"),
        (f"postgresql://u@db/r?sslpassword={SECRET}&sslmode=require",
            "postgresql://u@db/r?sslpassword=***&sslmode=require"),
        (f"nats://u:{SECRET}@a,nats://u:{SECRET}@b", "nats://u:***@a,nats://u:***@b"),
        (f"tls://{SECRET}@a", "tls://***@a"),
        ("nats://a,nats://b", "nats://a,nats://b"),
    ],
)  # fmt: skip
def test_what_is_shown(url: str, shown: str) -> None:
    """Passwords and tokens are left out, also where a value is represented."""
    urls = ServerUrls(url)
    assert urls.shown == shown
    assert urls.has_secret == (url != shown)
    assert SECRET not in repr(urls)


def test_parts_of_a_database() -> None:
    """Who warns of connections that others can read looks at hosts and sslmode."""
    assert hosts_of("postgresql://u:p@a:1,[::1]:2/r") == ["a", "::1"]
    assert hosts_of("postgresql:///r?host=/run/postgresql") == []
    assert ssl_mode_of("postgresql://a/r") == "prefer"
    assert ssl_mode_of("postgresql://a/r?sslmode=verify-full") == "verify-full"
