"""Access keys: made for a user, switched, deleted, and when they were last used."""

from msgspec.structs import replace

from greenroom.clock import is_set_back
from greenroom.model import identity as model
from greenroom.model.identity import AccessKey, KeyStatus, LastUsed, User
from greenroom.model.identity_errors import EntityAlreadyExists
from greenroom.storage.identity_rules.lookups import (
    find_access_key,
    get_user,
    limit_exceeded,
    no_such_key,
    put,
)
from greenroom.storage.identity_rules.transaction import EVERYWHERE, Transaction

USES_LATE_MS = 3_600_000
"""A use of a key is noted so late at most; one that is later still was noted by a wrong clock."""


async def create_access_key(transaction: Transaction, key: AccessKey) -> None:
    """Insert a key of the user that it names.

    Raises:
        NoSuchEntity: there is no such user.
        LimitExceeded: the user has two keys.
        EntityAlreadyExists: the key id is taken, in whatever account.
    """
    user = await get_user(transaction, key.account, key.user_name)
    if await transaction.keys.get(EVERYWHERE, key.access_key_id) is not None:
        raise EntityAlreadyExists(f"Access key {key.access_key_id} already exists.")
    if len(user.access_key_ids) >= model.KEYS_PER_USER:
        raise limit_exceeded("AccessKeysPerUser", model.KEYS_PER_USER)
    await transaction.keys.put(EVERYWHERE, key.access_key_id, replace(key, user_name=user.name))
    await put(transaction, replace(user, access_key_ids=(*user.access_key_ids, key.access_key_id)))


async def list_access_keys(
    transaction: Transaction, account: str, user_name: str
) -> tuple[AccessKey, ...]:
    """Return the user's keys, oldest first.

    Raises:
        NoSuchEntity: there is no such user.
    """
    user = await get_user(transaction, account, user_name)
    return tuple([await find_access_key(transaction, each) for each in user.access_key_ids])


async def update_access_key(
    transaction: Transaction, account: str, user_name: str, access_key_id: str, status: KeyStatus
) -> None:
    """Set whether the key signs requests.

    Raises:
        NoSuchEntity: the user has no such key.
    """
    key = await _key_of(transaction, await get_user(transaction, account, user_name), access_key_id)
    await transaction.keys.put(EVERYWHERE, access_key_id, replace(key, status=status))


async def delete_access_key(
    transaction: Transaction, account: str, user_name: str, access_key_id: str
) -> None:
    """Delete the key.

    Raises:
        NoSuchEntity: the user has no such key.
    """
    user = await get_user(transaction, account, user_name)
    await _key_of(transaction, user, access_key_id)
    await transaction.keys.remove(EVERYWHERE, access_key_id)
    kept = tuple(each for each in user.access_key_ids if each != access_key_id)
    await put(transaction, replace(user, access_key_ids=kept))


async def record_last_used(transaction: Transaction, uses: dict[str, LastUsed]) -> None:
    """Note the last uses by key id.

    Keys that are gone, or were made or used later, are passed over.
    A use that is later by an hour and more was noted by a clock that was ahead: it is replaced.
    """
    for access_key_id, use in uses.items():
        key = await transaction.keys.get(EVERYWHERE, access_key_id)
        if key is not None and _is_of(use, key) and _is_newer(use, key.last_used):
            await transaction.keys.put(EVERYWHERE, access_key_id, replace(key, last_used=use))


async def _key_of(transaction: Transaction, user: User, access_key_id: str) -> AccessKey:
    if access_key_id not in user.access_key_ids:
        raise no_such_key(access_key_id)
    return await find_access_key(transaction, access_key_id)


def _is_of(use: LastUsed, key: AccessKey) -> bool:
    """Return whether the use is not of a key that was under this id before."""
    made = key.create_date
    return made <= use.date or is_set_back(made, use.date, USES_LATE_MS)


def _is_newer(use: LastUsed, last: LastUsed | None) -> bool:
    return last is None or last.date < use.date or is_set_back(last.date, use.date, USES_LATE_MS)
