"""The step that keeps whom the trust policies of an older store name today."""

import json
import sqlite3
from typing import Any

import msgspec
import pytest

from greenroom.model.identity import Role, User
from greenroom.storage.schema import SQLITE, steps
from greenroom.storage.sqlite.database_file import upgrade

A_USER = "INSERT INTO identity_users (account, key, value) VALUES (?, ?, ?)"
A_ROLE = "INSERT INTO identity_roles (account, key, value) VALUES (?, ?, ?)"
ACCOUNT, OTHER = "123456789012", "210987654321"
ANNA = User(account=ACCOUNT, name="Anna_x", id="AIDA1", create_date=1, path="/team/")
THERE = User(account=OTHER, name="anna_x", id="AIDA2", create_date=1)
MOD = Role(account=ACCOUNT, name="mod", id="AROA1", create_date=1, trust_policy="{}", path="/p/")


def without_ids(value: User | Role) -> dict[str, Any]:
    """Return a value as an older version kept it."""
    kept: dict[str, Any] = json.loads(msgspec.json.encode(value))
    kept.pop("trusted", None)
    return kept


def upgraded(trust: str) -> Role:
    """Return a role with a trust policy after the step."""
    role = Role(account=ACCOUNT, name="r", id="AROA9", create_date=1, trust_policy=trust)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    before = [step for step in steps(SQLITE) if step.number < 4]
    upgrade(connection, before)
    for insert, value in ((A_USER, ANNA), (A_USER, THERE), (A_ROLE, MOD), (A_ROLE, role)):
        kept = json.dumps(without_ids(value))
        connection.execute(insert, (value.account, value.name.lower(), kept))
    upgrade(connection, steps(SQLITE))
    (text,) = connection.execute("SELECT value FROM identity_roles WHERE key = 'r'").fetchone()
    connection.close()
    found = msgspec.json.decode(text, type=Role)
    assert msgspec.structs.replace(found, trusted={}) == role
    return found


def trusting(*arns: str, element: str = "Principal") -> str:
    """Return a trust policy of these principals."""
    principal = arns[0] if len(arns) == 1 else list(arns)
    statement = {"Effect": "Allow", element: {"AWS": principal}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.parametrize("element", ["Principal", "NotPrincipal"])
def test_who_is_there_is_kept_by_id(element: str) -> None:
    """Users of all accounts, roles and sessions, alone or in lists, in either element."""
    ids = {
        ANNA.arn: "AIDA1",
        THERE.arn: "AIDA2",
        MOD.arn: "AROA1",
        MOD.session_arn("shift_1"): "AROA1:shift_1",
    }
    assert upgraded(trusting(*ids, element=element)).trusted == ids
    for arn, principal_id in ids.items():
        assert upgraded(trusting(arn, element=element)).trusted == {arn: principal_id}


def test_who_is_gone_stands_for_nobody() -> None:
    """Names that nobody has, or has in another case, path or account, are nobody's id."""
    arns = [
        f"arn:aws:iam::{ACCOUNT}:user/team/anna_x",
        f"arn:aws:iam::{ACCOUNT}:user/Anna_x",
        f"arn:aws:iam::{ACCOUNT}:user/team/AnnaXx",
        f"arn:aws:iam::{OTHER}:role/p/mod",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/mo/d",
        f"arn:aws:sts::{OTHER}:assumed-role/mod/shift",
    ]
    assert upgraded(trusting(*arns)).trusted == {arn: arn for arn in arns}


def test_what_names_nobody_by_arn_stays() -> None:
    """Accounts, ids, services, everybody; and ARNs in conditions are no principals."""
    texts = [
        trusting(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "AIDAJQABLZS4A3QDU576Q"),
        '{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:*"}}',
        json.dumps(
            {
                "Statement": {
                    "Effect": "Allow",
                    "Principal": {"AWS": ACCOUNT, "Service": "a.b"},
                    "Action": "sts:AssumeRole",
                    "Condition": {"ArnLike": {"aws:PrincipalArn": ANNA.arn}},
                }
            }
        ),
        "{}",
        "no policy",
    ]
    for text in texts:
        assert upgraded(text).trusted == {}
