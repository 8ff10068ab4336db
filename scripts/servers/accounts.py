"""Accounts of a nats-server: each is a world of its own, without streams at first."""

from scripts.servers.nats_server import NatsServer

PASSWORD = "not-a-secret-of-anybody"  # noqa: S105 - on loopback, for trials


def accounts(number: int) -> str:
    """Return the lines of a configuration that has accounts `0` to `number - 1` with JetStream.

    Who names no user is in none of them, as in a server without accounts.
    """
    users = [f'[{{ user: "{each}", password: "{PASSWORD}" }}]' for each in range(number)]
    lines = [
        f"  A{each}: {{ jetstream: enabled, users: {user} }}" for each, user in enumerate(users)
    ]
    default = "  G: { jetstream: enabled, users: [{ user: nobody }] }"
    return "\n".join(["accounts {", default, *lines, "}", "no_auth_user: nobody", ""])


def account_url(servers: list[NatsServer], account: int) -> str:
    """Return the setting `bus` for an account of servers."""
    credentials = f"{account}:{PASSWORD}@"
    return ",".join(server.url.replace("://", f"://{credentials}") for server in servers)
