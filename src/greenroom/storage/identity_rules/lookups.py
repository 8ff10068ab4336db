"""What several rules need: find and put, pages, quotas, and the words of refusals."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from greenroom.model import identity as model
from greenroom.model.identity import AccessKey, Account, IdentityKind, ManagedPolicy, Role, User
from greenroom.model.identity_errors import LimitExceeded, NoSuchEntity
from greenroom.storage.identity_rules.transaction import EVERYWHERE, Table, Transaction, folded
from greenroom.storage.identity_values import Page


class _Listed(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def path(self) -> str: ...


L = TypeVar("L", bound=_Listed)


async def get_user(transaction: Transaction, account: str, name: str) -> User:
    """Return the user.

    Raises:
        NoSuchEntity: there is none.
    """
    user = await transaction.users.get(account, folded(name))
    if user is None:
        raise no_such(IdentityKind.USER, name)
    return user


async def get_role(transaction: Transaction, account: str, name: str) -> Role:
    """Return the role.

    Raises:
        NoSuchEntity: there is none.
    """
    role = await transaction.roles.get(account, folded(name))
    if role is None:
        raise no_such(IdentityKind.ROLE, name)
    return role


async def find_access_key(transaction: Transaction, access_key_id: str) -> AccessKey:
    """Return the key, of whatever account.

    Raises:
        NoSuchEntity: there is none.
    """
    key = await transaction.keys.get(EVERYWHERE, access_key_id)
    if key is None:
        raise no_such_key(access_key_id)
    return key


async def get_policy(transaction: Transaction, account: str, arn: str) -> ManagedPolicy:
    """Return the policy.

    Raises:
        NoSuchEntity: the account has none of the ARN.
    """
    policy = await transaction.policies.get(account, folded(arn.rpartition("/")[2]))
    if policy is None or policy.arn != arn:
        raise NoSuchEntity(f"Policy {arn} does not exist or is not attachable.")
    return policy


async def account_of(transaction: Transaction, account: str) -> Account:
    """Return what is kept of an account."""
    return await transaction.accounts.get(EVERYWHERE, account) or Account(account)


async def identity(
    transaction: Transaction, account: str, kind: IdentityKind, name: str
) -> User | Role:
    """Return a user or role or raise NoSuchEntity."""
    found = get_user if kind is IdentityKind.USER else get_role
    return await found(transaction, account, name)


def table_of(transaction: Transaction, kind: IdentityKind) -> Table[User] | Table[Role]:
    """Return the table of users or that of roles."""
    return transaction.users if kind is IdentityKind.USER else transaction.roles


async def put(transaction: Transaction, value: User | Role) -> None:
    """Put a user or role where it belongs."""
    if isinstance(value, User):
        await transaction.users.put(value.account, folded(value.name), value)
    else:
        await transaction.roles.put(value.account, folded(value.name), value)


def page(found: list[L], limit: int, path_prefix: str) -> Page[L]:
    """Return the first of what was found, those on the path."""
    passing = [value for value in found if value.path.startswith(path_prefix)]
    values = tuple(passing[:limit])
    return Page(values, folded(values[-1].name) if len(passing) > limit else None)


def check_tags(tags: dict[str, str]) -> None:
    """Refuse more tags than the quota."""
    if len(tags) > model.TAGS_PER_IDENTITY:
        raise limit_exceeded("TagsPerResource", model.TAGS_PER_IDENTITY)


def check_attached(attached: Sequence[str]) -> None:
    """Refuse more attachments than the quota."""
    if len(attached) > model.ATTACHED_POLICIES:
        raise limit_exceeded("PoliciesPerIdentity", model.ATTACHED_POLICIES)


def check_inline_policies(kind: IdentityKind, name: str, policies: dict[str, str]) -> None:
    """Refuse inline policies that are too long together."""
    size = sum(model.document_characters(document) for document in policies.values())
    if size > kind.inline_characters:
        raise LimitExceeded(
            f"Maximum policy size of {kind.inline_characters} bytes exceeded for {kind} {name}"
        )


def no_such(what: str, name: str) -> NoSuchEntity:
    """Return the error for something that is not there."""
    return NoSuchEntity(f"The {what} with name {name} cannot be found.")


def no_such_key(access_key_id: str) -> NoSuchEntity:
    """Return the error for a key that is not there."""
    return NoSuchEntity(f"The Access Key with id {access_key_id} cannot be found.")


def limit_exceeded(quota: str, limit: int) -> LimitExceeded:
    """Return the error for a quota."""
    return LimitExceeded(f"Cannot exceed quota for {quota}: {limit}")
