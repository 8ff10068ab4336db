"""Access keys: who is known."""

import pytest

from greenroom.control.identity import AccessKey, Identities
from greenroom.model.errors import UnrecognizedClientException

KEY = AccessKey("AKIA1", "very-secret", "123456789012")


def test_find() -> None:
    """A key is found by its whole id, and not together with a session token, even an empty one."""
    identities = Identities(KEY)
    assert identities.find("AKIA1", None) is KEY
    for key_id, token in (("AKIA", None), ("akia1", None), ("AKIA1", "t"), ("AKIA1", "")):
        with pytest.raises(UnrecognizedClientException) as refused:
            identities.find(key_id, token)
        assert "AKIA" not in refused.value.message


def test_secrets_are_not_shown() -> None:
    """Neither repr nor str shows the secret."""
    assert "very-secret" not in f"{KEY!r} {KEY} {[KEY]}"
