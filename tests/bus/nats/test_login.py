"""Logins at NATS: each kind is let in by a real server, and what is renewed counts."""

import contextlib
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.errors import Error as NATSError

from greenroom.bus.nats import login
from greenroom.bus.nats.login import Login, seed_of
from greenroom.process.start_refused import FileUnreadable
from scripts.servers.nats_server import nats_server
from tests.stand_ins.nkeys import ACCOUNT, OPERATOR, USER, Nkey, credentials

ME = Nkey(USER, 7)


async def is_let_in(url: str, how: Login) -> bool:
    """Return whether the server takes the login."""
    client = Client()
    client._public_nkey = how.public_nkey
    refused = False

    async def fails(error: Exception) -> None:
        nonlocal refused
        refused = True

    try:
        await client.connect(
            url,
            user=how.user,
            password=how.password,
            token=how.token,
            signature_cb=how.sign,
            user_jwt_cb=how.jwt,
            allow_reconnect=False,
            error_cb=fails,
        )
    except NATSError:
        assert refused
        # It leaves open what it cannot use.
        assert client._transport is not None
        client._transport.close()  # type: ignore[no-untyped-call]  # nats-py's own
        with contextlib.suppress(ConnectionError):
            await client._transport.wait_closed()  # type: ignore[no-untyped-call]  # likewise
        return False
    await client.close()
    return True


async def test_password(tmp_path: Path) -> None:
    """A user comes with what is in his file now."""
    file = tmp_path / "password"
    file.write_text("old-word\n")
    how = login.by_password("node", file)
    with nats_server(
        tmp_path, extra="authorization { user: node, password: new-word }\n"
    ) as server:
        assert not await is_let_in(server.url, how)
        file.write_text("new-word\n")
        assert await is_let_in(server.url, how)


async def test_token(tmp_path: Path) -> None:
    """So does a token."""
    file = tmp_path / "token"
    file.write_text("a-token")
    with nats_server(tmp_path, extra="authorization { token: a-token }\n") as server:
        assert await is_let_in(server.url, login.by_token(file))
        assert not await is_let_in(server.url, Login())


async def test_nkey(tmp_path: Path) -> None:
    """A seed signs what the server asks, and its public key is the one that the server knows."""
    file = tmp_path / "seed"
    file.write_text(ME.seed + "\n")
    how = login.by_nkey(file)
    assert how.public_nkey == ME.public
    users = f"authorization {{ users: [ {{ nkey: {ME.public} }} ] }}\n"
    with nats_server(tmp_path, extra=users) as server:
        assert await is_let_in(server.url, how)
        file.write_text(Nkey(USER, 8).seed)
        assert not await is_let_in(server.url, login.by_nkey(file))


async def test_credentials(tmp_path: Path) -> None:
    """A JWT names the user, and his seed signs."""
    operator, account = Nkey(OPERATOR, 1), Nkey(ACCOUNT, 2)
    limits = {"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1,
        "exports": -1, "wildcards": True}  # fmt: skip
    of_operator = operator.jwt(operator.public, "operator", "O")
    of_account = operator.jwt(account.public, "account", "A", limits=limits)
    of_me = account.jwt(ME.public, "user", "U", subs=-1, data=-1, payload=-1)
    file = tmp_path / "me.creds"
    file.write_text(credentials(of_me, ME))
    extra = (
        f"operator: {of_operator}\nresolver: MEMORY\n"
        f"resolver_preload: {{ {account.public}: {of_account} }}\n"
    )
    with nats_server(tmp_path, extra=extra, jetstream=False) as server:
        assert await is_let_in(server.url, login.by_credentials(file))
        file.write_text(credentials(of_me, Nkey(USER, 9)))
        assert not await is_let_in(server.url, login.by_credentials(file))


@pytest.mark.parametrize(
    "text",
    ["", "SU", ME.public, Nkey(ACCOUNT, 1).seed, ME.seed[:-1] + "A", ME.seed[:-2], ME.seed.lower()],
)
def test_no_seeds(text: str) -> None:
    """Only a user's whole seed is one."""
    with pytest.raises(ValueError, match=r"^must hold the seed of a user's nkey"):
        seed_of(text)


def test_seeds_of_others() -> None:
    """No other kind of key is taken for a user's, whatever it is called."""

    def is_taken(kind: int) -> bool:
        try:
            seed_of(Nkey(kind, 7).seed)
        except ValueError:
            return False
        return True

    assert [kind for kind in range(256) if is_taken(kind)] == [USER]


def test_every_seed() -> None:
    """The first bytes of the seed itself say nothing of its kind."""
    for first in range(256):
        key = Nkey(USER, (first << 248) + 1)
        assert seed_of(key.seed).public == key.public


def test_no_credentials(tmp_path: Path) -> None:
    """A file of credentials has both parts."""
    file = tmp_path / "me.creds"
    whole = credentials("a.b.c", ME)
    for text, missing in ((whole[40:], "USER JWT"), (whole[:80], "NKEY SEED")):
        file.write_text(text)
        with pytest.raises(FileUnreadable, match=missing):
            login.by_credentials(file)
