"""Clients' addresses as nobody can read them: what is kept of an address, and told, is a hash.

It is made with a key that all nodes share, and differs from account to account. A /64 of IPv6 is
one address: one client has all of it.
"""

from hashlib import blake2b

from greenroom.network import addresses

_BYTES = 12


class AddressHashes:
    """Makes hashes with a key of 64 bytes at most."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, account: str, address: bytes) -> str:
        """Return the hash of an address for an account; "" for what is nobody's address."""
        if not address:
            return ""
        # An account has no NUL, so that no other one and address together make the same bytes.
        text = account.encode() + b"\0" + addresses.site(address)
        return blake2b(text, digest_size=_BYTES, key=self._key).hexdigest()
