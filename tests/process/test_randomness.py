"""What the process draws at random."""

import re
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from greenroom.process.randomness import new_id, new_key, new_request_id
from greenroom.tokens.key_ring import KeyRing


def test_ids() -> None:
    """Identifiers are 12 letters and digits, and do not repeat."""
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch(r"[a-zA-Z0-9]{12}", each) for each in ids)


def test_request_ids() -> None:
    """Request ids are random UUIDs, in the one form that they are written in."""
    ids = [new_request_id() for _ in range(1000)]
    assert len({each[:8] for each in ids}) > 990
    for each in ids:
        read = uuid.UUID(each)
        assert (str(read), read.version, read.variant) == (each, 4, uuid.RFC_4122)
    assert {each[19] for each in ids} == set("89ab")
    assert {digit for each in ids for digit in each[24:]} == set("0123456789abcdef")


def test_threads_draw_different_ids() -> None:
    """What is drawn ahead is given to one only."""
    with ThreadPoolExecutor(8) as threads:
        drawn = list(threads.map(lambda _: [new_id() for _ in range(500)], range(8)))
    assert len({each for ids in drawn for each in ids}) == 8 * 500


@pytest.mark.parametrize("draw", ["new_id()", "new_request_id()"])
def test_a_child_draws_its_own(draw: str) -> None:
    """What was drawn ahead stays with the parent, when the process forks."""
    code = (
        f"import os; from greenroom.process.randomness import *; {draw}\n"
        f"child = os.fork(); ids = [{draw} for _ in range(200)]\n"
        "child and os.waitpid(child, 0); print(*ids, flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    theirs, ours = done.stdout.splitlines()
    assert not set(theirs.split()) & set(ours.split())


def test_new_keys() -> None:
    """New keys are 32 bytes with an id of 8 characters, and good for a ring."""
    key_id, key = new_key()
    ring = KeyRing({key_id: key}, key_id)
    assert ring.open("test", ring.seal("test", b"content", bytes(12))) == b"content"
    assert len(key) == 32
    assert len(key_id) == 8
    assert new_key()[0] != key_id


def test_key_ids_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key id looks like an option of the command that kills the key."""
    random = iter(["-7oPQ2mN", "-aaaaaaa", "a-aaaaaa"])
    place = "greenroom.process.randomness.secrets.token_urlsafe"
    monkeypatch.setattr(place, lambda _: next(random))
    assert new_key()[0] == "a-aaaaaa"
