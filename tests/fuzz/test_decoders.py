"""The corpus, and what mutations make of it, through every parser that meets strangers' bytes.

What must hold is asserted by the targets. `FUZZ_EXAMPLES=100000` looks deeper, at random.
"""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.aws.service import OPERATIONS
from tests.fuzz import targets
from tests.fuzz.mutations import chunks, mutated
from tests.fuzz.profile import SECONDS, profile
from tests.fuzz.seeds import entries, kinds

pytestmark = pytest.mark.timeout(SECONDS)

SEEDS = {kind: list(entries(kind).values()) for kind in kinds()}
SIGNED = [request for data in SEEDS["signed"] if (request := targets.signed(data))]
SIZES = st.lists(st.integers(1, 40), max_size=4)

Target = Callable[[bytes], object]


def each_operation(parse: Callable[[str, bytes], object]) -> Target:
    """Return a target that gives the bytes to every operation of the API."""

    def target(data: bytes) -> object:
        return [found for name in OPERATIONS if (found := parse(name, data)) is not None]

    return target


TARGETS: dict[str, Target] = {
    "frames": lambda data: targets.frames([data]),
    "tokens": targets.token,
    "policies": targets.policy,
    "trust_policies": targets.trust_policy,
    "signed": targets.signed,
    "bodies": each_operation(targets.body),
    "forms": targets.form,
    "identities": targets.identities,
    "proxy_headers": targets.proxy,
    "forwarded": targets.forwarded,
    "http": targets.upgrade,
}
"""A target for each folder of the corpus."""

ACCEPTED = {
    "frames": {"text", "fragments", "utf8", "length-in-more-bytes-than-needed"},
    "tokens": {"good"},
    "policies": {"allow-all", "every-operator", "many-stars", "old-version", "tags"},
    "trust_policies": {"account", "external-id", "users-and-roles"},
    "signed": {"create-room", "presigned", "session-token", "tags-with-query"},
    "bodies": {"create-room", "create-chat-token", "create-logging-configuration", "empty-object"},
    "forms": {"create-user", "assume-role", "tags", "put-user-policy"},
    "identities": {"whole", "empty"},
    "proxy_headers": {"v1-tcp4", "v1-tcp6", "v2-tcp4", "v2-tcp6", "v2-local"},
    "forwarded": {"one", "several", "rfc-7239"},
    "http": {"upgrade-unclosed-extension"},
}
"""Entries that are right: mutations of them come further than the first check."""


def test_every_folder_has_a_target() -> None:
    """No folder of the corpus is forgotten, and none is empty."""
    assert TARGETS.keys() == SEEDS.keys()
    assert all(SEEDS.values())


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in TARGETS for name in entries(kind)]
)
def test_corpus(kind: str, name: str) -> None:
    """Each entry is read or refused as documented; those that are right are read."""
    found = TARGETS[kind](entries(kind)[name])
    assert found or name not in ACCEPTED[kind] or kind == "http"


@profile(300)
@given(data=mutated(SEEDS["frames"]), sizes=SIZES, limit=st.sampled_from([5000, 65_536]))
def test_frames(data: bytes, sizes: list[int], limit: int) -> None:
    """However the bytes are cut into reads, the events are the same, and little is held."""
    assert targets.frames(chunks(data, sizes), limit) == targets.frames([data], limit)


@profile(300)
@given(data=mutated(SEEDS["tokens"]))
def test_tokens(data: bytes) -> None:
    """What was not sealed here, as it is, opens nothing."""
    assert targets.token(data) is None or data in SEEDS["tokens"]


@profile(250)
@given(data=mutated(SEEDS["policies"]))
def test_policies(data: bytes) -> None:
    """A policy is refused with its fault named, or reads the same again and decides."""
    targets.policy(data)


@profile(150)
@given(data=mutated(SEEDS["trust_policies"]))
def test_trust_policies(data: bytes) -> None:
    """So is a trust policy."""
    targets.trust_policy(data)


@profile(300)
@given(data=mutated(SEEDS["signed"]))
def test_signed_requests(data: bytes) -> None:
    """No change of a signed request makes another one that is good."""
    request = targets.signed(data)
    assert request is None or (request.method, request.body) in [
        (each.method, each.body) for each in SIGNED
    ]


@profile(200)
@given(operation=st.sampled_from(sorted(OPERATIONS)), data=mutated(SEEDS["bodies"]))
def test_bodies(operation: str, data: bytes) -> None:
    """A body is read within the operation's shape, or refused by name."""
    targets.body(operation, data)


@profile(100)
@given(
    operation=st.sampled_from(sorted(OPERATIONS)),
    data=mutated([b"tagKeys=a&tagKeys=b%20c", b"tagKeys=%ff", b"tagKeys", b"&=&&", b"%"]),
)
def test_queries(operation: str, data: bytes) -> None:
    """So is a query."""
    targets.query(operation, data)


@profile(200)
@given(data=mutated(SEEDS["forms"]))
def test_forms(data: bytes) -> None:
    """A form of IAM or STS is read within its operation's shape, or refused by name."""
    targets.form(data)


@profile(200)
@given(data=mutated(SEEDS["identities"]))
def test_identities(data: bytes) -> None:
    """An identities file is read whole, or refused in one line."""
    targets.identities(data)


@profile(200)
@given(data=mutated(SEEDS["proxy_headers"]))
def test_proxy_headers(data: bytes) -> None:
    """A PROXY header is read, refused, or waited for within its bound."""
    targets.proxy(data)


@profile(200)
@given(data=mutated(SEEDS["forwarded"]))
def test_forwarded(data: bytes) -> None:
    """Whatever forwarding headers hold, the client's address is one."""
    targets.forwarded(data)


@profile(200)
@given(data=mutated(SEEDS["http"]))
def test_upgrades(data: bytes) -> None:
    """Either answer to an upgrade is one well-formed head, whatever the request holds."""
    targets.upgrade(data)
