"""Documents to the permissions that decide by them; each document is parsed and compiled once."""

from collections.abc import Mapping
from functools import lru_cache

from greenroom.policies.decision import CompiledPolicies, CompiledPolicy
from greenroom.policies.document import parse_identity_policy

MAXIMUM_COMPILED = 4096
"""Compiled documents that are kept in memory; at the bound the one not used for longest goes."""


def compile_policies(
    identity: Mapping[str, str], session: Mapping[str, str] | None
) -> CompiledPolicies:
    """Return what the policies, given by name or ARN, say together.

    Raises:
        MalformedPolicyDocument: one is not valid; what is kept was checked when it was put.
    """
    return CompiledPolicies(
        [_compiled(name, document) for name, document in identity.items()],
        None if session is None else [_compiled(*each) for each in session.items()],
    )


@lru_cache(MAXIMUM_COMPILED)
def _compiled(name: str, document: str) -> CompiledPolicy:
    return CompiledPolicy(name, parse_identity_policy(document))
