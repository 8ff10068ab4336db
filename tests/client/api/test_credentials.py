"""What a request is signed with, and when that is asked for anew."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.client.api import credentials
from greenroom.client.api.credentials import EXPIRY_WINDOW, Credentials, Resolver
from greenroom.client.api.errors import CredentialsError

KEYS = Credentials("AKIA", "secret", "token")


def botocores(access_key: str | None = "AKIA", secret_key: str | None = "secret") -> Any:
    """Return credentials as botocore has them, which stay as they are."""
    made = Mock(spec=["get_frozen_credentials"])
    made.get_frozen_credentials.return_value = Mock(
        access_key=access_key, secret_key=secret_key, token="token"
    )
    return made


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Give what looks for botocore's, and finds some."""
    found = Mock(side_effect=botocores)
    monkeypatch.setattr(credentials, "_chain", found)
    return found


def test_when_they_are_fetched_anew() -> None:
    """A moment before they expire; without an expiry never."""
    now = datetime(2026, 11, 30, tzinfo=UTC)
    assert not KEYS.expired(now)
    at = Credentials("AKIA", "secret", expiration=now + EXPIRY_WINDOW)
    assert at.expired(now)
    assert not at.expired(now - timedelta(microseconds=1))
    assert repr(KEYS) == "Credentials(access_key_id='AKIA')"


async def test_what_is_given_is_taken(chain: Mock) -> None:
    """Neither a provider nor botocore's chain is asked."""
    assert await Resolver(KEYS, Mock()).get() is KEYS
    assert await Resolver(botocores(), Mock()).get() == KEYS
    chain.assert_not_called()


async def test_a_provider_is_asked_once(chain: Mock) -> None:
    """Until what it gave is called expired; it comes before botocore's chain."""
    provider = Mock(return_value=KEYS)
    resolver = Resolver(None, provider)
    assert await resolver.get() is await resolver.get() is KEYS
    provider.assert_called_once_with()
    resolver.expire()
    await resolver.get()
    assert provider.call_count == 2
    chain.assert_not_called()


async def test_the_chain_is_looked_for_once(chain: Mock) -> None:
    """Until what it found is called expired."""
    resolver = Resolver(None, None)
    assert await resolver.get() == await resolver.get() == KEYS
    assert chain.call_count == 1
    resolver.expire()
    assert await resolver.get() == KEYS
    assert chain.call_count == 2


async def test_what_refreshes_itself_is_kept_and_asked_again(chain: Mock) -> None:
    """It is found once, and says for each request what to sign with."""
    found = botocores()
    found.refresh_needed = lambda: False
    chain.side_effect = None
    chain.return_value = found
    resolver = Resolver(None, None)
    for _ in range(3):
        assert await resolver.get() == KEYS
    assert (chain.call_count, found.get_frozen_credentials.call_count) == (1, 3)


@pytest.mark.parametrize("parts", [(None, None), ("AKIA", None), (None, "secret"), ("AKIA", "")])
async def test_half_a_key_is_none(parts: tuple[str | None, str | None]) -> None:
    """Nothing is signed with it."""
    with pytest.raises(CredentialsError, match="Missing credentials in config"):
        await Resolver(botocores(*parts), None).get()


async def test_where_there_is_nothing(chain: Mock) -> None:
    """It is looked for anew by the next request."""
    chain.side_effect = [None, botocores()]
    resolver = Resolver(None, None)
    with pytest.raises(CredentialsError, match="Missing credentials in config"):
        await resolver.get()
    assert await resolver.get() == KEYS
