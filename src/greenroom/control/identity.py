"""Who calls: access keys and their owners."""

import msgspec

from greenroom.model.errors import UnrecognizedClientException


class AccessKey(msgspec.Struct, frozen=True):
    """A long-term key of an account. The secret never leaves this value in a message or log."""

    access_key_id: str
    secret_access_key: str
    account: str

    def __repr__(self) -> str:
        return f"AccessKey({self.access_key_id!r}, account={self.account!r})"


class Identities:
    """The access keys that the service knows."""

    def __init__(self, *keys: AccessKey) -> None:
        self._keys = {key.access_key_id: key for key in keys}

    def find(self, access_key_id: str, session_token: str | None) -> AccessKey:
        """Return the key.

        Raises:
            UnrecognizedClientException: there is no such key, or it does not go with a session
                token.
        """
        key = self._keys.get(access_key_id)
        if key is None or session_token is not None:
            raise UnrecognizedClientException(
                "The security token included in the request is invalid."
            )
        return key
