"""Accounts: suspended, and whose sessions have ended."""

from msgspec.structs import replace

from greenroom.model.identity import IdentityKind
from greenroom.storage.identity_rules.lookups import account_of, identity, put
from greenroom.storage.identity_rules.transaction import EVERYWHERE, Transaction


async def suspend(transaction: Transaction, account: str, now: int) -> None:
    """Suspend the account; one that is suspended stays so since when it was."""
    kept = await account_of(transaction, account)
    if kept.suspended is None:
        await transaction.accounts.put(EVERYWHERE, account, replace(kept, suspended=now))


async def resume(transaction: Transaction, account: str) -> None:
    """End the account's suspension."""
    kept = await account_of(transaction, account)
    await transaction.accounts.put(EVERYWHERE, account, replace(kept, suspended=None))


async def suspended_accounts(transaction: Transaction) -> frozenset[str]:
    """Return every account that is suspended."""
    kept = await transaction.accounts.values(EVERYWHERE)
    return frozenset(each.id for each in kept if each.suspended is not None)


async def revoke_sessions(
    transaction: Transaction, account: str, kind: IdentityKind | None, name: str, before: int
) -> None:
    """Refuse temporary credentials issued before; `kind` None is the account's root.

    The time never moves back.

    Raises:
        NoSuchEntity: there is none.
    """
    if kind is None:
        kept = await account_of(transaction, account)
        changed = replace(kept, revoked_before=max(before, kept.revoked_before))
        await transaction.accounts.put(EVERYWHERE, account, changed)
    else:
        found = await identity(transaction, account, kind, name)
        await put(transaction, replace(found, revoked_before=max(before, found.revoked_before)))


async def end_sessions(
    transaction: Transaction, account: str, kind: IdentityKind | None, name: str
) -> None:
    """Refuse all temporary credentials issued until now, whatever any clock said.

    Raises:
        NoSuchEntity: there is none.
    """
    if kind is None:
        kept = await account_of(transaction, account)
        ended = replace(kept, sessions_ended=kept.sessions_ended + 1)
        await transaction.accounts.put(EVERYWHERE, account, ended)
    else:
        found = await identity(transaction, account, kind, name)
        await put(transaction, replace(found, sessions_ended=found.sessions_ended + 1))
