"""The identities file: what it says, and the place of what is wrong with it."""

import contextlib
import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.identities.declaration_file import Context, IdentitiesRefused, parse, read
from greenroom.model.identity import POLICY_CHARACTERS, KeyStatus, document_characters
from greenroom.storage.identity_values import Declared
from greenroom.storage.memory.store import MemoryStore
from greenroom.vault.sealing import Sealer, key_context

DOCS = Path(__file__).parents[2] / "docs"
SEALER = Sealer(bytes(32))
CONTEXT = Context(
    account="123456789012",
    now=7,
    sealer=SEALER,
    entropy=bytes,
    environment={"ANNA_SECRET": "s" * 40, "WEB_SECRET": "w" * 40},
)
WHOLE = """
suspended = false
revoke_sessions_before = 1970-01-01T00:00:02Z

[policies.chat]
path = "/app/"
description = "what the web application does"
[policies.chat.document]
Version = "2012-10-17"
[[policies.chat.document.Statement]]
Effect = "Allow"
Action = ["ivschat:CreateChatToken", "ivschat:SendEvent"]
Resource = "*"

[users.anna]
tags = { team = "web" }
revoke_sessions_before = 1970-01-01T01:00:01+01:00
attach = ["chat"]
keys = [
    { id = "AKIAANNAANNAANNAANNA", secret_variable = "ANNA_SECRET" },
    { id = "AKIAANNAANNAANNAANN2", secret_file = "anna.secret", status = "Inactive" },
]

[roles.moderator]
max_session_seconds = 7200
attach = ["arn:aws:iam::123456789012:policy/app/chat"]
policies.kick = '''{"Version": "2012-10-17",
  "Statement": {"Effect": "Allow", "Action": "ivschat:DisconnectUser", "Resource": "*"}}'''
[roles.moderator.trust]
Version = "2012-10-17"
Statement = { Effect = "Allow", Principal = { AWS = "123456789012" }, Action = "sts:AssumeRole" }
"""


def declared(text: str, directory: Path = Path()) -> Declared:
    """Return what a file with the text declares."""
    return parse(text, CONTEXT, directory)


async def test_a_whole_file(tmp_path: Path) -> None:
    """Every kind of thing is read, and a store takes it."""
    (tmp_path / "anna.secret").write_text("t" * 40 + "\n")
    found = declared(WHOLE, tmp_path)
    (anna,), (moderator,), (chat,) = found.users, found.roles, found.policies
    assert (anna.arn, anna.tags) == ("arn:aws:iam::123456789012:user/anna", {"team": "web"})
    assert [each.id[:4] for each in (anna, moderator, chat)] == ["AIDA", "AROA", "ANPA"]
    assert anna.attached_policies == moderator.attached_policies == (chat.arn,)
    assert json.loads(chat.document)["Statement"][0]["Resource"] == "*"
    assert (chat.path, chat.description) == ("/app/", "what the web application does")
    assert moderator.max_session_seconds == 7200
    assert "DisconnectUser" in moderator.inline_policies["kick"]
    assert json.loads(moderator.trust_policy)["Statement"]["Action"] == "sts:AssumeRole"
    secrets = [
        SEALER.open(key_context(each.access_key_id), each.sealed_secret) for each in found.keys
    ]
    assert secrets == [b"s" * 40, b"t" * 40]
    assert [each.status for each in found.keys] == [KeyStatus.ACTIVE, KeyStatus.INACTIVE]
    assert (found.suspended, found.revoked_before, anna.revoked_before) == (False, 2000, 1000)
    store = MemoryStore().identities
    changes = await store.apply(CONTEXT.account, found)
    assert "create access key AKIAANNAANNAANNAANNA of user anna" in [each.what for each in changes]
    assert await store.apply(CONTEXT.account, declared(WHOLE, tmp_path)) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("users = 1", "users"),
        ("[user.anna]", "unknown field `user`"),
        ("[users.anna]\ntag = {}", "users.anna: .*unknown field `tag`"),
        ("[users.anna]\nattach = [1]", r"users.anna: Expected `str`, got `int` - at `attach\[0\]`"),
        ("[users.anna", "not TOML: .*document"),
        ('[users."a b"]', "users.a b: a name has"),
        ("[users.anna]\n[users.ANNA]", "user: .* declared more than once"),
        ('[users.anna]\npath = "x"', "users.anna.path: must begin and end with /"),
        ('[users.anna]\ntags = { "aws:x" = "y" }', "users.anna.tags.aws:x"),
        (
            '[users.anna]\ntags = { Team = "web", team = "admin" }',
            "users.anna.tags: team is declared more than once, whatever its case",
        ),
        ('[users.anna]\ntags = { "" = "x" }', "users.anna.tags: a key has 1 to 128 characters"),
        (f'[users.anna]\ntags = {{ {"k" * 129} = "x" }}', "a key has 1 to 128 characters"),
        (f'[users.anna]\ntags = {{ k = "{"v" * 257}" }}', "k: a value has 256 characters at most"),
        ('[users.anna]\nattach = ["chat"]', r"users.anna.attach\[0\]: 'chat' is neither"),
        (
            '[users.anna]\nattach = ["arn:a", "arn:a"]',
            "users.anna.attach: arn:a is declared more than once",
        ),
        ("[users.anna]\npolicies.p = '{'", "users.anna.policies.p: "),
        (
            '[users.anna.policies.p]\nStatement = { Effect = "Permit", Action = "*" }',
            "users.anna.policies.p: .*Effect",
        ),
        ("[policies.p]\ndocument.Version = 2012-10-17", "policies.p.document"),
        ("[roles.r]", "`trust`"),
        ("[users.a]\nrevoke_sessions_before = 2026-01-01T00:00:00", "users.a: .*timezone"),
        ("[roles.r]\nmax_session_seconds = 1\ntrust = '{}'", "roles.r.max_session_seconds"),
        (
            '[users.anna]\nkeys = [{ id = "short", secret = "s" }]',
            r"users.anna.keys\[0\].id: must be",
        ),
        ('[users.anna]\nkeys = [{ id = "AKIAANNAANNAANNAANNA" }]', r"keys\[0\]: needs exactly one"),
        (
            '[users.anna]\nkeys = [{ id = "AKIAANNAANNAANNAANNA", secret_variable = "NOT_SET" }]',
            r"keys\[0\].secret_variable: NOT_SET is not set",
        ),
        (
            '[users.anna]\nkeys = [{ id = "AKIAANNAANNAANNAANNA", secret_file = "none" }]',
            r"keys\[0\].secret_file: cannot be read",
        ),
        (
            '[users.anna]\nkeys = [{ id = "AKIAANNAANNAANNAANNA", secret = "hush-hush" }]',
            r"keys\[0\]: the secret must be",
        ),
    ],
)
def test_faults_name_their_place(text: str, says: str, tmp_path: Path) -> None:
    """What is wrong is one line with its place, without the secret."""
    with pytest.raises(IdentitiesRefused, match=says) as refused:
        declared(text, tmp_path)
    assert "hush" not in str(refused.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The file's name is part of the line."""
    with pytest.raises(IdentitiesRefused, match=r"cannot read .*none\.toml: No such file"):
        read(tmp_path / "none.toml", CONTEXT)
    (tmp_path / "bad.toml").write_bytes(b"\xff")
    with pytest.raises(IdentitiesRefused, match="not UTF-8"):
        read(tmp_path / "bad.toml", CONTEXT)
    (tmp_path / "bad.toml").write_text("x = 1")
    with pytest.raises(IdentitiesRefused, match=r"bad\.toml: .*`x`"):
        read(tmp_path / "bad.toml", CONTEXT)


def test_the_documented_example() -> None:
    """The example of the guide is read as it stands there."""
    text = (DOCS / "howto" / "declare-identities.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    found = declared(example)
    assert [user.name for user in found.users] == ["web"]
    assert found.users[0].attached_policies == (found.policies[0].arn,)


@pytest.mark.parametrize(
    ("key_id", "good"),
    [("A" * 15, False), ("A" * 16, True), ("A" * 128, True), ("A" * 129, False), ("Ä" * 20, False)],
)
def test_the_id_of_a_key(key_id: str, good: bool) -> None:
    """It has 16 to 128 letters and digits of ASCII."""
    text = f'[users.a]\nkeys = [{{ id = "{key_id}", secret_variable = "ANNA_SECRET" }}]\n'
    if good:
        assert parse(text, CONTEXT, DOCS).users
    else:
        with pytest.raises(IdentitiesRefused, match="must be 16 to 128 letters and digits"):
            parse(text, CONTEXT, DOCS)


@pytest.mark.parametrize(("length", "good"), [(15, False), (16, True), (128, True), (129, False)])
def test_the_secret_of_a_key(length: int, good: bool) -> None:
    """It has 16 to 128 printable characters."""
    context = msgspec.structs.replace(CONTEXT, environment={"ANNA_SECRET": "s" * length})
    text = f'[users.a]\nkeys = [{{ id = "{"A" * 16}", secret_variable = "ANNA_SECRET" }}]\n'
    if good:
        assert parse(text, context, DOCS).users
    else:
        with pytest.raises(IdentitiesRefused, match="16 to 128 printable characters"):
            parse(text, context, DOCS)


@given(st.text() | st.sampled_from(WHOLE.splitlines()).flatmap(lambda line: st.just(WHOLE + line)))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text does anything else."""
    with contextlib.suppress(IdentitiesRefused):
        declared(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 2000, "nested too deeply"),
        ("suspended = " + "9" * 6000, "not TOML: "),
        (f"[policies.p.document.{'.'.join('a' * 3000)}]", "nested too deeply"),
        ('[users."a\\nb"]', r"users.a\nb: a name has"),
        (
            '[users.a]\nkeys = [{ id = "AKIAANNAANNAANNAANNA", secret_file = "\\u0000" }]',
            "users.a.keys[0].secret_file: cannot be read",
        ),
    ],
    ids=["arrays", "number", "tables", "line end", "path"],
)
def test_odd_files_are_refused_in_one_line(text: str, words: str) -> None:
    """What the fuzzer found: none of it may end a service that reads the file again."""
    with pytest.raises(IdentitiesRefused) as refused:
        declared(text)
    assert str(refused.value).startswith(words)
    assert str(refused.value).isprintable()


TRUSTING = (
    'trust = \'{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": '
    '"sts:AssumeRole", "Principal": {"AWS": "123456789012"}}}\''
)
ALLOWING = (
    'document = \'{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", '
    '"Resource": "*"}}\''
)


def with_key(id_: str, secret: str) -> str:
    """Return a file with one key."""
    return f'[users.u]\nkeys = [{{ id = "{id_}", secret = "{secret}" }}]'


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (f"[users.{'u' * 64}]", f"[users.{'u' * 65}]"),
        (f"[roles.{'r' * 64}]\n{TRUSTING}", f"[roles.{'r' * 65}]\n{TRUSTING}"),
        (f"[policies.{'p' * 128}]\n{ALLOWING}", f"[policies.{'p' * 129}]\n{ALLOWING}"),
        *(
            (
                f"[roles.r]\n{TRUSTING}\nmax_session_seconds = {good}",
                f"[roles.r]\n{TRUSTING}\nmax_session_seconds = {bad}",
            )
            for good, bad in ((3600, 3599), (43200, 43201))
        ),
        *(
            (with_key("A" * good, "s" * 40), with_key("A" * bad, "s" * 40))
            for good, bad in ((16, 15), (128, 129))
        ),
        *(
            (with_key("A" * 20, "s" * good), with_key("A" * 20, "s" * bad))
            for good, bad in ((16, 15), (128, 129))
        ),
    ],
)
def test_bounds(good: str, bad: str) -> None:
    """What is just allowed is read, and what is just not is refused."""
    found = declared(good)
    revoked = [each.revoked_before for each in found.users]
    revoked += [each.revoked_before for each in found.roles]
    assert not any(revoked)
    with pytest.raises(IdentitiesRefused):
        declared(bad)


KEY = "A" * 20


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            f'[users.a]\nkeys = [{{ id = "{KEY}", secret = "{"s" * 20}", secret_file = "f" }}]',
            r"keys\[0\]: needs exactly one",
        ),
        (with_key("AKIA-ANNA-ANNA-ANNA", "s" * 20), r"keys\[0\].id: must be"),
        (with_key(KEY, "\u00e4" * 20), "the secret must be 16 to 128 printable characters"),
        (with_key(KEY, "\\t" * 20), "the secret must be 16 to 128 printable characters"),
        (
            "\n".join(with_key(KEY, "s" * 20).replace("users.u", f"users.{name}") for name in "ab"),
            f"key: {KEY} is declared more than once",
        ),
        (
            f"[roles.a]\n{TRUSTING}\n[roles.A]\n{TRUSTING}",
            "role: a is declared more than once",
        ),
        (
            f"[policies.a]\n{ALLOWING}\n[policies.A]\n{ALLOWING}",
            "policy: a is declared more than once",
        ),
        ("[users.a.policies]\n'a b' = '{}'", "users.a.policies.a b: is not a name"),
        ("[policies.p.document]\nVersion = 2012-10-17", "holds a date or time without quotes"),
        ('[users.a]\npath = "/\u00e4/"', "users.a.path: must begin and end with /"),
    ],
)
def test_more_faults_name_their_place(text: str, says: str, tmp_path: Path) -> None:
    """What is given twice, of other characters, or not as a policy has it."""
    with pytest.raises(IdentitiesRefused, match=says):
        declared(text, tmp_path)


def test_a_policy_has_the_characters_that_it_was_given() -> None:
    """A table becomes text without escapes, which would count against the quota."""
    statement = 'Statement = { Effect = "Allow", Action = "*", Resource = "arn:aws:s3:::ä" }'
    (user,) = declared(f"[users.a.policies.p]\n{statement}").users
    assert '"arn:aws:s3:::ä"' in user.inline_policies["p"]


def test_ids_of_keys_have_a_case() -> None:
    """Two that differ in it are two keys; names of users are not told apart by it."""
    other = KEY[:-1] + "a"
    text = "\n".join(
        with_key(key_id, "s" * 20).replace("users.u", f"users.{name}")
        for name, key_id in (("a", KEY), ("b", other))
    )
    assert [each.access_key_id for each in declared(text).keys] == [KEY, other]


def test_the_largest_tags_and_policies() -> None:
    """What IAM would take of a request is taken of the file, and no character more."""
    tags = f'tags = {{ {"k" * 128} = "{"v" * 256}" }}'
    (user,) = declared(f"[users.a]\n{tags}").users
    assert user.tags == {"k" * 128: "v" * 256}

    def of_size(size: int) -> str:
        document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*"}}
        empty = json.dumps({**document, "Statement": {**allowing, "Resource": ""}})
        resource = "arn:aws:s3:::"
        filled = resource.ljust(size - document_characters(empty), "x")
        return json.dumps({**document, "Statement": {**allowing, "Resource": filled}})

    allowing = {"Effect": "Allow", "Action": "*"}
    assert document_characters(of_size(POLICY_CHARACTERS)) == POLICY_CHARACTERS
    assert declared(f"[policies.p]\ndocument = '{of_size(POLICY_CHARACTERS)}'").policies
    with pytest.raises(IdentitiesRefused, match=f"has more than {POLICY_CHARACTERS} characters"):
        declared(f"[policies.p]\ndocument = '{of_size(POLICY_CHARACTERS + 1)}'")


def test_moments_are_milliseconds() -> None:
    """Since the epoch, rounded."""
    found = declared("revoke_sessions_before = 1970-01-01T00:00:01.2346Z")
    assert found.revoked_before == 1235
