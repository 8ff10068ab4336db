"""Identities of an account: users, roles, access keys, managed policies, and their rules.

- Names, paths, ids and sizes follow AWS's ("IAM and STS quotas", "IAM identifiers": IAM User
  Guide). Names are unique in the account whatever their case, and kept as they were written.
- Times are milliseconds since the epoch. Policy documents are the JSON text that was given.
"""

import base64
import re
from enum import StrEnum

import msgspec

KEYS_PER_USER = 2
"""Access keys that a user can have."""

POLICY_VERSIONS = 5
"""Versions that a managed policy can have."""

ATTACHED_POLICIES = 10
"""Managed policies that can be attached to one user or role."""

TAGS_PER_IDENTITY = 50

ID_ENTROPY_BYTES = 11
"""Random bytes that an id is made from."""

SECRET_ENTROPY_BYTES = 30
"""Random bytes that a secret access key is made from."""

_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]+")
_PATH = re.compile(r"/|/[\x21-\x7e]{1,510}/")


class IdPrefix(StrEnum):
    """How ids of each kind begin ("Unique identifiers": IAM User Guide)."""

    ACCESS_KEY = "AKIA"
    TEMPORARY_KEY = "ASIA"
    USER = "AIDA"
    ROLE = "AROA"
    POLICY = "ANPA"


class IdentityKind(StrEnum):
    """What can hold policies."""

    USER = "user"
    ROLE = "role"

    @property
    def inline_characters(self) -> int:
        """Return the characters that all inline policies may have, whitespace not counted."""
        return {IdentityKind.USER: 2048, IdentityKind.ROLE: 10_240}[self]

    @property
    def quota(self) -> int:
        """Return how many an account can have."""
        return {IdentityKind.USER: 5000, IdentityKind.ROLE: 1000}[self]

    @property
    def name_length(self) -> int:
        """Return the characters that a name may have."""
        return 64


POLICY_CHARACTERS = 6144
"""Characters that a managed policy's document may have, whitespace not counted."""

POLICIES_PER_ACCOUNT = 1500


class KeyStatus(StrEnum):
    """Whether an access key signs requests."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"


class LastUsed(msgspec.Struct, frozen=True):
    """When, for which service and in which region an access key was last used."""

    date: int
    service: str
    region: str


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """A user's long-term key; the secret is sealed (see `sealing`) with the id as its context."""

    access_key_id: str
    account: str
    user_name: str
    sealed_secret: bytes
    create_date: int
    status: KeyStatus = KeyStatus.ACTIVE
    last_used: LastUsed | None = None
    managed: bool = False


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user, with all that says what the user may do.

    `revoked_before`: temporary credentials that were issued earlier are refused. `sessions_ended`:
    how often all were ended; those that were issued at another count are refused. `managed`: the
    identities file owns it.
    """

    account: str
    name: str
    id: str
    create_date: int
    path: str = "/"
    tags: dict[str, str] = {}
    inline_policies: dict[str, str] = {}
    """Documents by the name of the policy."""
    attached_policies: tuple[str, ...] = ()
    """ARNs, in the order of attachment."""
    access_key_ids: tuple[str, ...] = ()
    revoked_before: int = 0
    sessions_ended: int = 0
    managed: bool = False

    @property
    def arn(self) -> str:
        """Return `arn:aws:iam::ACCOUNT:user/PATH/NAME`."""
        return f"arn:aws:iam::{self.account}:user{self.path}{self.name}"


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A role; members as those of a user, and who may assume it for how long."""

    account: str
    name: str
    id: str
    create_date: int
    trust_policy: str
    trusted: dict[str, str] = {}
    """The unique ids of those whom the trust policy names by ARN, as it was when it was saved; of a
    session `ROLE_ID:SESSION`. Given to the store with empty ids, which it fills in."""
    path: str = "/"
    description: str = ""
    max_session_seconds: int = 3600
    tags: dict[str, str] = {}
    inline_policies: dict[str, str] = {}
    attached_policies: tuple[str, ...] = ()
    revoked_before: int = 0
    sessions_ended: int = 0
    managed: bool = False

    @property
    def arn(self) -> str:
        """Return `arn:aws:iam::ACCOUNT:role/PATH/NAME`."""
        return f"arn:aws:iam::{self.account}:role{self.path}{self.name}"

    def session_arn(self, session_name: str) -> str:
        """Return the ARN of somebody who assumed the role."""
        return f"arn:aws:sts::{self.account}:assumed-role/{self.name}/{session_name}"


class PolicyVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a managed policy: `v1`, `v2`, ..."""

    id: str
    document: str
    create_date: int


class ManagedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A managed policy with its versions, oldest first."""

    account: str
    name: str
    id: str
    create_date: int
    update_date: int
    versions: tuple[PolicyVersion, ...]
    default_version: str = "v1"
    newest_version: int = 1
    """Number of the newest version ever: numbers are not used again."""
    path: str = "/"
    description: str = ""
    tags: dict[str, str] = {}
    attachments: int = 0
    managed: bool = False

    @property
    def arn(self) -> str:
        """Return `arn:aws:iam::ACCOUNT:policy/PATH/NAME`."""
        return f"arn:aws:iam::{self.account}:policy{self.path}{self.name}"

    @property
    def document(self) -> str:
        """Return the default version's document."""
        return next(each.document for each in self.versions if each.id == self.default_version)


class Attachment(msgspec.Struct, frozen=True):
    """A managed policy on a user or role."""

    policy_arn: str
    kind: IdentityKind
    name: str


class Account(msgspec.Struct, frozen=True):
    """What is kept of an account itself; `suspended` is since when, None when it is not.

    `revoked_before` and `sessions_ended` are about the root's temporary credentials.
    """

    id: str
    suspended: int | None = None
    revoked_before: int = 0
    sessions_ended: int = 0


class SessionClaims(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a session token says: whose temporary credentials these are, and how narrow.

    `kind` is None for the account's root. `identity_id` is the user's or role's id: of another one
    with the same name the credentials are not. `parent_key_id` is the long-term key with which the
    credentials, or those that they were got with, were asked for.
    """

    access_key_id: str
    secret_access_key: str
    account: str
    issued: int
    expires: int
    kind: IdentityKind | None = None
    name: str = ""
    identity_id: str = ""
    session_name: str = ""
    parent_key_id: str = ""
    policy: str | None = None
    """An inline session policy."""
    policy_arns: tuple[str, ...] = ()
    """Managed policies as session policies."""
    tags: dict[str, str] = {}
    transitive_tag_keys: tuple[str, ...] = ()
    policy_ids: tuple[str, ...] = ()
    """The unique ids of those managed policies: another one of the same name narrows nothing."""
    parent_key_created: int = 0
    """When the parent key was made: another one under the same id, of whomever, is not it."""
    sessions_ended: int = 0
    """How often sessions of the user, role or root had been ended when this one began."""

    def __repr__(self) -> str:
        return f"SessionClaims({self.access_key_id!r}, account={self.account!r})"


def unique_id(prefix: IdPrefix, entropy: bytes) -> str:
    """Return an id: 20 characters for keys, 21 for all else, from `ID_ENTROPY_BYTES` bytes."""
    length = 16 if prefix in (IdPrefix.ACCESS_KEY, IdPrefix.TEMPORARY_KEY) else 17
    return prefix + base64.b32encode(entropy).decode()[:length]


def secret_of(entropy: bytes) -> str:
    """Return a secret access key of 40 characters from `SECRET_ENTROPY_BYTES` bytes."""
    return base64.b64encode(entropy).decode()


def is_name(text: str, length: int = 128) -> bool:
    """Return whether a user, role or policy can have the name: `[A-Za-z0-9_+=,.@-]`."""
    return len(text) <= length and _NAME.fullmatch(text) is not None


def is_path(text: str) -> bool:
    """Return whether the text begins and ends with `/` and holds printable ASCII only."""
    return _PATH.fullmatch(text) is not None


def document_characters(document: str) -> int:
    """Return the length that counts against quotas: without whitespace."""
    return len(document) - sum(character.isspace() for character in document)
