"""The corpus, mutations of it, and values of every kind, over real sockets to the real process.

After each test the process lives, `/health` answers, the log holds no crash, two neighbours went on
talking, and memory grew by less than the bound. `FUZZ_EXAMPLES=100000` looks deeper, at random.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.aws.service import OPERATIONS
from greenroom.model.errors import IncompleteSignatureException
from tests.fuzz import targets
from tests.fuzz.mutations import mutated
from tests.fuzz.profile import SECONDS, profile
from tests.fuzz.seeds import entries
from tests.running.attacks import Target, answer_to, answers_to, attacked, frames_after, said
from tests.running.process import resident
from tests.running.service import Service
from tests.running.wire import WebSocket, http_bytes, signed_bytes, token_line, upgrade_bytes

pytestmark = pytest.mark.timeout(SECONDS)

MEBIBYTE = 1_048_576
GROWTH = 24
"""MiB by which one test may make the process grow, of which most is never given back."""

HTTP, FRAMES, TOKENS = (list(entries(kind).values()) for kind in ("http", "frames", "tokens"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Return a service that has met the whole corpus once, as it is."""
    with attacked(tmp_path_factory.mktemp("fuzz")) as target:
        room = target.api.room(maximumMessageRatePerSecond=100)
        for data in HTTP:
            answers_to(target.service, target.api, live(data, target, room))
        for data in FRAMES:
            frames_after(target.service, target.api, room, data)
        yield target


@pytest.fixture(scope="module")
def room(target: Target) -> str:
    """Return a room for hostile clients."""
    return target.api.room(maximumMessageRatePerSecond=100)


@pytest.fixture(autouse=True)
def unmoved(target: Target) -> Iterator[None]:
    """Check after each test that all is as before, and how much memory it took."""
    before = resident(target.service)
    yield
    target.assert_unmoved()
    assert resident(target.service) - before < GROWTH * MEBIBYTE


def live(data: bytes, target: Target, room: str) -> bytes:
    """Return an entry of `http` with its token, its room and its signature."""
    data = data.replace(b"@ROOM@", room.encode())
    data = data.replace(b"@ROOM-IN-PATH@", quote(room, safe="").encode())
    if b"@TOKEN@" in data:
        data = data.replace(b"@TOKEN@", target.api.token(room).encode())
    if b"@SIGN@" in data:
        # The one after another request, if there are two.
        start = data.rfind(b"\r\n\r\n", 0, data.index(b"@SIGN@"))
        start = start + 4 if start >= 0 else 0
        data = data[:start] + _signed(data[start:], target.service)
    return data


def _signed(data: bytes, service: Service) -> bytes:
    request = targets.request_of(data)
    method, path, query = request.method, request.raw_path, request.query_string
    headers = {name: value for name, value in request.headers if name == "content-type"}
    try:
        return signed_bytes(service, method, path, request.body, query, headers)
    except IncompleteSignatureException:
        return data  # what a mutation made cannot be signed


# ----------------------------------------------------------------------------------------- HTTP


@profile(240)
@given(data=mutated(HTTP))
def test_requests(target: Target, room: str, data: bytes) -> None:
    """Requests of every kind, changed and cut, are answered or refused by name."""
    answers_to(target.service, target.api, live(data, target, room))


@profile(160)
@given(index=st.integers(0, len(HTTP) - 1), data=st.data())
def test_signed_requests(target: Target, room: str, index: int, data: st.DataObject) -> None:
    """So are they when they are changed after they were signed."""
    whole = live(HTTP[index], target, room)
    changed = data.draw(mutated([whole]))
    answers_to(target.service, target.api, changed)


@profile(100)
@given(data=st.binary(max_size=300))
def test_random_bytes(target: Target, data: bytes) -> None:
    """Bytes that are no HTTP are refused as such."""
    answers_to(target.service, target.api, data)


names = sorted(set().union(*(operation.input.members for operation in OPERATIONS.values())))
strings = st.text(st.characters(exclude_categories=()), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | strings
    | st.sampled_from(
        [10**400, "x" * 2000, "arn:aws:ivschat:us-east-1:123456789012:room/x", "\x00"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4),
    max_leaves=8,
)
targets_of_requests = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="?#"), max_size=40
)


def parameters_of(room: str) -> dict[str, Any]:
    """Return parameters with which every operation goes past its first checks."""
    return {
        "identifier": room,
        "roomIdentifier": room,
        "resourceArn": room,
        "name": "x",
        "userId": "user",
        "id": "a" * 12,
        "eventName": "x",
        "tags": {"a": "b"},
        "tagKeys": ["a"],
        "attributes": {"a": "b"},
        "destinationConfiguration": {"s3": {"bucketName": "bucket"}},
    }


@profile(200)
@given(
    operation=st.sampled_from(sorted(OPERATIONS)),
    changed=st.dictionaries(st.sampled_from(names) | strings, values, max_size=3),
)
def test_parameters(target: Target, operation: str, changed: dict[str, Any]) -> None:
    """Signed as they should be, parameters of any shape are served or refused by name."""
    path = {
        "TagResource": ("POST", "/tags/"),
        "UntagResource": ("DELETE", "/tags/"),
        "ListTagsForResource": ("GET", "/tags/"),
    }.get(operation)
    service = target.service
    room = target.api.room()
    parameters = {**parameters_of(room), **changed}
    body = json.dumps(parameters).encode()
    if path is None:
        answer = answer_to(service, signed_bytes(service, "POST", f"/{operation}", body))
    else:
        arn = quote(str(parameters["resourceArn"]).encode("utf-8", "surrogatepass"), safe="")
        keys = "&".join(
            f"tagKeys={quote(str(key).encode('utf-8', 'surrogatepass'))}" for key in changed
        )
        answer = answer_to(service, signed_bytes(service, path[0], path[1] + arn, body, keys))
    assert answer.status not in {408, 431}
    target.api.request("DeleteRoom", identifier=room)


@profile(120)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]),
    path=targets_of_requests
    | st.sampled_from(["CreateRoom", "tags", "tags/%ff", "tags/%2", "CreateRoom/"]),
    query=targets_of_requests,
    content_type=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20),
    body=st.binary(max_size=60)
    | st.sampled_from([b"{", b"[" * 20_000, b"[]", b'"\\ud800"', b"{}x"]),
)
def test_odd_requests(
    target: Target, method: str, path: str, query: str, content_type: str, body: bytes
) -> None:
    """Signed as they should be, any path, query, type and body are served or refused by name."""
    headers = {"content-type": content_type.strip()}
    request = signed_bytes(target.service, method, f"/{path}", body, query, headers)
    answer_to(target.service, request)


@profile(120)
@given(data=mutated(list(entries("signed").values())))
def test_authorizations(target: Target, data: bytes) -> None:
    """Whatever stands where a signature should, the request is refused by name."""
    request = targets.request_of(data)
    clean = {
        name.translate(_NO_HEADER) or "x": value.translate(_NO_HEADER)
        for name, value in request.headers
    }
    path = f"{request.raw_path}?{request.query_string}".translate(_NO_HEADER).replace(" ", "")
    answer = answer_to(target.service, http_bytes("POST", path or "/", {**clean, "host": "x"}))
    assert 400 <= answer.status < 500


_NO_HEADER = dict.fromkeys((*range(0x20), 0x7F))


# --------------------------------------------------------------------------------------- tokens


@profile(200)
@given(data=mutated(TOKENS))
def test_tokens(target: Target, data: bytes) -> None:
    """Whatever stands in `Sec-WebSocket-Protocol`, the connection is refused and told why."""
    line = token_line(data.translate(None, b"\r\n"))
    answer = answer_to(target.service, upgrade_bytes(line))
    assert answer.status in {400, 401, 403, 431}


@profile(120)
@given(data=st.data())
def test_changed_tokens(target: Target, room: str, data: st.DataObject) -> None:
    """A good token that is changed anywhere opens nothing."""
    token = target.api.token(room).encode()
    changed = data.draw(mutated([token])).translate(None, b"\r\n")
    if changed.strip(b" \t") != token:
        answer = answer_to(target.service, upgrade_bytes(token_line(changed)))
        assert answer.status in {400, 401, 403, 431}


# --------------------------------------------------------------------------------------- frames


@profile(240)
@given(data=mutated(FRAMES))
def test_frames(target: Target, room: str, data: bytes) -> None:
    """Frames that are changed or cut never lead to more than an ERROR or a close frame."""
    frames_after(target.service, target.api, room, data)


@profile(100)
@given(data=st.binary(min_size=1, max_size=300))
def test_random_frames(target: Target, room: str, data: bytes) -> None:
    """Random bytes on a connection are answered with close frames that name the fault."""
    frames_after(target.service, target.api, room, data)


ACTIONS = (
    {"Action": "SEND_MESSAGE", "Content": "hello", "Attributes": {"a": "b"}, "RequestId": "r"},
    {"Action": "DELETE_MESSAGE", "Id": "a" * 12, "Reason": "why", "RequestId": "r"},
    {"Action": "DISCONNECT_USER", "UserId": "nobody", "Reason": "why", "RequestId": "r"},
)


@pytest.fixture(scope="module")
def speaker(target: Target) -> Iterator[WebSocket]:
    """Return a connection that lasts, in a room of its own: no action may end it."""
    room = target.api.room(maximumMessageRatePerSecond=100)
    with WebSocket.connect(target.service, target.api.token(room, "speaker")) as speaker:
        yield speaker


@profile(200)
@given(
    action=st.sampled_from(ACTIONS),
    changed=st.dictionaries(
        st.sampled_from(["Action", "action", "Content", "Id", "UserId", "Reason", "RequestId"])
        | st.just("Attributes")
        | strings,
        values,
        max_size=3,
    ),
)
def test_actions(speaker: WebSocket, action: dict[str, Any], changed: dict[str, Any]) -> None:
    """An action with members of any kind is done, or refused in an ERROR frame."""
    said(speaker, json.dumps({**action, **changed}).encode())


@profile(160)
@given(data=mutated([json.dumps(action).encode() for action in ACTIONS]))
def test_texts(speaker: WebSocket, data: bytes) -> None:
    """So is a text that was one, as long as it is UTF-8."""
    said(speaker, data[:60_000].decode("utf-8", "ignore").encode())
