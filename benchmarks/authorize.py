"""What authorizing one request costs: the check of CreateChatToken among 50 statements.

It runs in this process on the server's core, without a socket: the same call that the control plane
makes for a request. A fifth of the statements deny, all concern the action, and all but the last
name other rooms, other tags of the caller, or rooms by the caller's name: each has to be looked at.
"""

import asyncio
import resource
import statistics
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from greenroom.control.ivschat.authorize import authorize
from greenroom.model.principal import Principal, PrincipalType
from greenroom.policies.decision import CompiledPolicies, CompiledPolicy
from greenroom.policies.document import parse_identity_policy
from greenroom.policies.request_context import RequestFacts

NAME = "authorize, 50 statements"
STATEMENTS = 50
BATCH = 200
"""Decisions between two looks at the clock."""

ACCOUNT, REGION, OPERATION = "123456789012", "us-east-1", "CreateChatToken"
ROOMS = f"arn:aws:ivschat:{REGION}:{ACCOUNT}:room/"
PARAMETERS: Mapping[str, object] = {"roomIdentifier": f"{ROOMS}AbCdEf123456"}


def statement(number: int) -> dict[str, object]:
    """Return a statement that has to be looked at, and does not match."""
    found: dict[str, object] = {
        "Effect": "Deny" if number % 5 == 4 else "Allow",
        "Action": "ivschat:*",
    }
    match number % 4:
        case 0:
            found["Resource"] = f"{ROOMS}room-{number}*"
        case 1:
            found["Resource"] = f"arn:aws:ivschat:*:{ACCOUNT}:room/{number}-*-stage"
        case 2:
            found["Resource"] = f"{ROOMS}${{aws:username}}-{number}"
        case _:
            found["Resource"] = "*"
            found["Condition"] = {"StringEquals": {"aws:PrincipalTag/team": f"team-{number}"}}
    return found


def caller() -> Principal:
    """Return a user with one policy, whose last statement allows the request."""
    allow = {"Effect": "Allow", "Action": f"ivschat:{OPERATION}", "Resource": f"{ROOMS}AbCd*"}
    document = {
        "Version": "2012-10-17",
        "Statement": [*(statement(number) for number in range(STATEMENTS - 1)), allow],
    }
    return Principal(
        arn=f"arn:aws:iam::{ACCOUNT}:user/backend",
        account=ACCOUNT,
        type=PrincipalType.USER,
        user_id="AIDAEXAMPLE",
        user_name="backend",
        tags={"team": "chat"},
        permissions=CompiledPolicies([CompiledPolicy("bench", parse_identity_policy(document))]),
    )


def measure(warm_up: float, seconds: float) -> dict[str, float]:
    """Authorize for so many seconds; return the figures that a request's row has."""
    return asyncio.run(_measure(warm_up, seconds))


async def _measure(warm_up: float, seconds: float) -> dict[str, float]:
    principal = caller()
    facts = RequestFacts(region=REGION, now=datetime.now(UTC), source_ip="10.1.2.3", secure=True)
    end = time.perf_counter() + warm_up
    while time.perf_counter() < end:
        await _batch(principal, facts)
    batches: list[float] = []
    usage, began = resource.getrusage(resource.RUSAGE_THREAD), time.perf_counter()
    while (started := time.perf_counter()) < began + seconds:
        await _batch(principal, facts)
        batches.append((time.perf_counter() - started) * 1e6 / BATCH)
    took, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_THREAD)
    user = used.ru_utime - usage.ru_utime
    return {
        "seconds": took,
        "answered": len(batches) * BATCH,
        "server_cpu": user + used.ru_stime - usage.ru_stime,
        "server_user": user,
        "p50": statistics.median(batches),
        "p99": sorted(batches)[int(len(batches) * 0.99)],
    }


async def _batch(principal: Principal, facts: RequestFacts) -> None:
    for _ in range(BATCH):
        await authorize(principal, OPERATION, PARAMETERS, facts, _no_tags)


async def _no_tags(_: str) -> Mapping[str, str]:
    raise AssertionError("no statement looks at the tags of resources")
