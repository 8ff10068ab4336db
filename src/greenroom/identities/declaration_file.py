"""The identities file: users, roles, policies and keys, declared in TOML and kept in git.

- The whole file is checked first; a fault names its place, and nothing is changed.
- Policies are tables of TOML, or JSON text, with the same members as IAM's documents.
- Secrets come from environment variables or files. One in the file itself is the operator's choice.
- `apply` makes what the file owns what it says, in one transaction (see `IdentityStore.apply`).
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from greenroom.model.identity import (
    ID_ENTROPY_BYTES,
    POLICY_CHARACTERS,
    AccessKey,
    IdPrefix,
    KeyStatus,
    ManagedPolicy,
    PolicyVersion,
    Role,
    User,
    document_characters,
    is_name,
    is_path,
    unique_id,
)
from greenroom.model.letter_case import without_case
from greenroom.model.tags import tag_errors
from greenroom.policies.document import parse_identity_policy, parse_trust_policy
from greenroom.policies.text import MalformedPolicyDocument
from greenroom.policies.trust import named_arns
from greenroom.settings.values import SettingsRefused
from greenroom.storage.identity_values import Declared
from greenroom.vault.sealing import Sealer, key_context

T = TypeVar("T")

TAG_KEY_CHARACTERS = 128
TAG_VALUE_CHARACTERS = 256

Document = str | dict[str, object]
"""A policy as JSON text or as a table."""


class IdentitiesRefused(SettingsRefused):
    """The identities file cannot be used: one line that names the place."""

    def __init__(self, message: str) -> None:
        # Names in the file may hold line ends.
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in message))


class _Key(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    status: KeyStatus = KeyStatus.ACTIVE
    secret: str | None = None
    secret_variable: str | None = None
    secret_file: str | None = None


Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _User(msgspec.Struct, forbid_unknown_fields=True):
    revoke_sessions_before: Moment | None = None
    path: str = "/"
    tags: dict[str, str] = {}
    attach: list[str] = []
    policies: dict[str, Document] = {}
    keys: list[_Key] = []


class _Role(msgspec.Struct, forbid_unknown_fields=True):
    trust: Document
    revoke_sessions_before: Moment | None = None
    path: str = "/"
    description: str = ""
    max_session_seconds: int = 3600
    tags: dict[str, str] = {}
    attach: list[str] = []
    policies: dict[str, Document] = {}


class _Policy(msgspec.Struct, forbid_unknown_fields=True):
    document: Document
    path: str = "/"
    description: str = ""
    tags: dict[str, str] = {}


class _File(msgspec.Struct, forbid_unknown_fields=True):
    suspended: bool | None = None
    revoke_sessions_before: Moment | None = None
    users: dict[str, dict[str, object]] = {}
    roles: dict[str, dict[str, object]] = {}
    policies: dict[str, dict[str, object]] = {}


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What reading a file needs: for which account, when, and where ids and secrets come from."""

    account: str
    now: int
    sealer: Sealer
    entropy: Callable[[int], bytes]
    environment: Mapping[str, str]


def read(path: Path, context: Context) -> Declared:
    """Return what the file declares.

    Raises:
        IdentitiesRefused: it cannot be read, or something in it is not valid.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise IdentitiesRefused(f"cannot read {path}: {reason}") from None
    try:
        return parse(text, context, path.parent)
    except IdentitiesRefused as refused:
        raise IdentitiesRefused(f"{path}: {refused}") from None


def parse(text: str, context: Context, directory: Path) -> Declared:
    """Return what the text declares; files of secrets are relative to the directory.

    Raises:
        IdentitiesRefused: something in it is not valid.
    """
    try:
        return _declared(_converted("", _tables(text), _File), context, directory)
    except RecursionError:
        raise IdentitiesRefused("nested too deeply") from None


def _tables(text: str) -> dict[str, object]:
    # Its patterns take a while to compile, and most services have no such file.
    import tomllib

    try:
        return tomllib.loads(text)
    except ValueError as error:  # also of a number with thousands of digits
        raise IdentitiesRefused(f"not TOML: {error}") from None


def _declared(file: _File, context: Context, directory: Path) -> Declared:
    declared_users = _all_converted("users", file.users, _User)
    declared_roles = _all_converted("roles", file.roles, _Role)
    declared_policies = _all_converted("policies", file.policies, _Policy)
    reader = _Reader(context, directory, {name: p.path for name, p in declared_policies.items()})
    users = tuple(reader.user(name, user) for name, user in declared_users.items())
    roles = tuple(reader.role(name, role) for name, role in declared_roles.items())
    policies = tuple(reader.policy(name, policy) for name, policy in declared_policies.items())
    keys = tuple(
        reader.key(name, number, key)
        for name, user in declared_users.items()
        for number, key in enumerate(user.keys)
    )
    for what, names in (
        ("user", declared_users),
        ("role", declared_roles),
        ("policy", declared_policies),
        ("key", [key.access_key_id for key in keys]),
    ):
        _refuse_repeated(what, [name if what == "key" else name.lower() for name in names])
    return Declared(
        users=users,
        roles=roles,
        policies=policies,
        keys=keys,
        suspended=file.suspended,
        revoked_before=_milliseconds(file.revoke_sessions_before),
        now=context.now,
    )


class _Reader:
    """Turns the file's parts into values, naming the place of what is wrong."""

    def __init__(self, context: Context, directory: Path, paths: Mapping[str, str]) -> None:
        self._context = context
        self._directory = directory
        self._paths = paths

    def user(self, name: str, user: _User) -> User:
        """Return a user without keys."""
        place = f"users.{name}"
        _check(place, name, 64, user.path, user.tags)
        return User(
            account=self._context.account,
            name=name,
            id=self._id(IdPrefix.USER),
            create_date=self._context.now,
            path=user.path,
            tags=user.tags,
            inline_policies=_inline(place, user.policies),
            attached_policies=self._arns(place, user.attach),
            revoked_before=_milliseconds(user.revoke_sessions_before),
        )

    def role(self, name: str, role: _Role) -> Role:
        """Return a role."""
        place = f"roles.{name}"
        _check(place, name, 64, role.path, role.tags)
        if not 3600 <= role.max_session_seconds <= 43_200:
            raise _fault(f"{place}.max_session_seconds", "must be from 3600 to 43200")
        trust = _document(f"{place}.trust", role.trust, parse_trust_policy)
        return Role(
            account=self._context.account,
            name=name,
            id=self._id(IdPrefix.ROLE),
            create_date=self._context.now,
            trust_policy=trust,
            trusted=dict.fromkeys(named_arns(parse_trust_policy(trust)), ""),
            path=role.path,
            description=role.description,
            max_session_seconds=role.max_session_seconds,
            tags=role.tags,
            inline_policies=_inline(place, role.policies),
            attached_policies=self._arns(place, role.attach),
            revoked_before=_milliseconds(role.revoke_sessions_before),
        )

    def policy(self, name: str, policy: _Policy) -> ManagedPolicy:
        """Return a managed policy."""
        place, now = f"policies.{name}", self._context.now
        _check(place, name, 128, policy.path, policy.tags)
        document = _document(f"{place}.document", policy.document, parse_identity_policy)
        if document_characters(document) > POLICY_CHARACTERS:
            raise _fault(f"{place}.document", f"has more than {POLICY_CHARACTERS} characters")
        return ManagedPolicy(
            account=self._context.account,
            name=name,
            id=self._id(IdPrefix.POLICY),
            create_date=now,
            update_date=now,
            versions=(PolicyVersion(id="v1", document=document, create_date=now),),
            path=policy.path,
            description=policy.description,
            tags=policy.tags,
        )

    def key(self, user_name: str, number: int, key: _Key) -> AccessKey:
        """Return an access key."""
        place = f"users.{user_name}.keys[{number}]"
        if not (key.id.isascii() and key.id.isalnum() and 16 <= len(key.id) <= 128):
            raise _fault(f"{place}.id", "must be 16 to 128 letters and digits")
        secret = self._secret(place, key)
        if not (16 <= len(secret) <= 128 and secret.isascii() and secret.isprintable()):
            raise _fault(place, "the secret must be 16 to 128 printable characters")
        return AccessKey(
            access_key_id=key.id,
            account=self._context.account,
            user_name=user_name,
            sealed_secret=self._context.sealer.seal(key_context(key.id), secret.encode()),
            create_date=self._context.now,
            status=key.status,
        )

    def _secret(self, place: str, key: _Key) -> str:
        given = [each for each in (key.secret, key.secret_variable, key.secret_file) if each]
        if len(given) != 1:
            raise _fault(place, "needs exactly one of secret_variable, secret_file and secret")
        if key.secret_variable:
            secret = self._context.environment.get(key.secret_variable)
            if secret is None:
                raise _fault(f"{place}.secret_variable", f"{key.secret_variable} is not set")
            return secret
        if key.secret_file:
            try:
                return (self._directory / key.secret_file).read_text(encoding="utf-8").strip()
            except (OSError, ValueError):  # not there, not UTF-8, or no path at all
                raise _fault(f"{place}.secret_file", "cannot be read") from None
        return given[0]

    def _arns(self, place: str, names: list[str]) -> tuple[str, ...]:
        """Return the ARNs of policies that are named by ARN, or by name if they are the file's."""
        arns = []
        for number, name in enumerate(names):
            if name.startswith("arn:"):
                arns.append(name)
            elif name in self._paths:
                path = self._paths[name]
                arns.append(f"arn:aws:iam::{self._context.account}:policy{path}{name}")
            else:
                raise _fault(
                    f"{place}.attach[{number}]", f"{name!r} is neither an ARN nor a policy here"
                )
        _refuse_repeated(f"{place}.attach", arns)
        return tuple(arns)

    def _id(self, prefix: IdPrefix) -> str:
        return unique_id(prefix, self._context.entropy(ID_ENTROPY_BYTES))


def _converted(place: str, table: object, kind: type[T]) -> T:
    """Return a table as what it declares; the message names the member, never its value."""
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        text = str(error).replace("`$.", "`").replace(" - at `$`", "")
        raise IdentitiesRefused(f"{place}: {text}" if place else text) from None


def _all_converted(
    place: str, tables: Mapping[str, dict[str, object]], kind: type[T]
) -> dict[str, T]:
    return {name: _converted(f"{place}.{name}", each, kind) for name, each in tables.items()}


def _milliseconds(moment: datetime | None) -> int:
    return 0 if moment is None else round(moment.timestamp() * 1000)


def _inline(place: str, policies: Mapping[str, Document]) -> dict[str, str]:
    documents = {}
    for name, document in policies.items():
        where = f"{place}.policies.{name}"
        if not is_name(name):
            raise _fault(where, "is not a name that a policy can have")
        documents[name] = _document(where, document, parse_identity_policy)
    return documents


def _document(place: str, document: Document, check: Callable[[str], object]) -> str:
    """Return a policy as JSON text that has been checked."""
    try:
        text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
        check(text)
    except MalformedPolicyDocument as malformed:
        raise _fault(place, malformed.message) from None
    except TypeError:
        raise _fault(place, "holds a date or time without quotes") from None
    return text


def _check(place: str, name: str, length: int, path: str, tags: Mapping[str, str]) -> None:
    if not is_name(name, length):
        rule = f"a name has 1 to {length} letters, digits and _+=,.@-"
        raise _fault(place, rule)
    if not is_path(path):
        raise _fault(f"{place}.path", "must begin and end with / and be printable ASCII")
    for error in tag_errors(tags):
        raise _fault(f"{place}.{error.name}", error.message)
    _check_tags(f"{place}.tags", tags)


def _check_tags(place: str, tags: Mapping[str, str]) -> None:
    """See to the rules of IAM's tags that the service model has for requests."""
    for key, value in tags.items():
        if not 1 <= len(key) <= TAG_KEY_CHARACTERS:
            raise _fault(place, f"a key has 1 to {TAG_KEY_CHARACTERS} characters")
        if len(value) > TAG_VALUE_CHARACTERS:
            raise _fault(f"{place}.{key}", f"a value has {TAG_VALUE_CHARACTERS} characters at most")
    # Policies ask for a tag whatever its case: of two they would trust the one or the other.
    repeated = [key for key, times in Counter(map(without_case, tags)).items() if times > 1]
    if repeated:
        raise _fault(place, f"{repeated[0]} is declared more than once, whatever its case")


def _refuse_repeated(place: str, names: list[str]) -> None:
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise _fault(place, f"{repeated[0]} is declared more than once")


def _fault(place: str, rule: str) -> IdentitiesRefused:
    return IdentitiesRefused(f"{place}: {rule}")


def of_process(account: str, now: int, sealer: Sealer) -> Context:
    """Return the context of this process: its environment, its randomness."""
    return Context(
        account=account, now=now, sealer=sealer, entropy=os.urandom, environment=os.environ
    )
