"""What is fuzzed in process: each takes bytes, and raises only when a promise is broken.

A target answers with what its parser made of the bytes, or with nothing when it refused them by one
of its documented errors.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from greenroom.aws import query as query_protocol
from greenroom.aws.query_service import VERSIONS, model, operation
from greenroom.aws.rest_json import parse
from greenroom.aws.service import OPERATIONS
from greenroom.aws.signature import sigv4
from greenroom.identities.declaration_file import Context, IdentitiesRefused
from greenroom.identities.declaration_file import parse as parse_identities
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.errors import ServiceError
from greenroom.model.principal import AccessRequest, ContextValue
from greenroom.network.addresses import UNKNOWN, Networks
from greenroom.network.forwarded import ForwardedHeader, TrustedProxies
from greenroom.network.proxy_protocol import MAXIMUM_BYTES, ProxyFault, ProxyHeader
from greenroom.network.proxy_protocol import parse as parse_proxy
from greenroom.policies.decision import CompiledPolicies, CompiledPolicy
from greenroom.policies.document import parse_identity_policy, parse_trust_policy
from greenroom.policies.statement import PolicyDocument, to_json
from greenroom.policies.text import MalformedPolicyDocument
from greenroom.policies.trust import CompiledTrustPolicy, named_arns, with_names
from greenroom.protocol.frames import (
    MAXIMUM_FRAGMENTS,
    MAXIMUM_MESSAGE,
    Close,
    Event,
    FrameDecoder,
    ProtocolFault,
)
from greenroom.protocol.handshake import (
    HandshakeRefused,
    accept_response,
    parse_upgrade,
    refusal_response,
)
from greenroom.storage.identity_values import Declared
from greenroom.tokens.key_ring import KeyRing, TokenRejected, open_claims
from greenroom.vault.sealing import Sealer

ACCOUNT = "123456789012"
ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # the one of AWS's documentation
NOW = 1_750_000_000.0
"""When the signatures of the corpus were made."""

RING = KeyRing({"corpus": bytes(range(32))}, "corpus")
"""Opens the tokens of the corpus."""

CONTEXT = Context(
    account=ACCOUNT,
    now=int(NOW * 1000),
    sealer=Sealer(bytes(32)),
    entropy=bytes,
    environment={"ANNA_SECRET": "s" * 40},
)
"""What the identities files of the corpus are read with."""

HEADER_BYTES = 14
CONTROL_BYTES = 131
"""The most that one header, and one control frame, take."""

_PROXIES, _PROXY = Networks(["10.0.0.0/8"]), bytes((10, 0, 0, 1))
_ACTIONS = ("ivschat:CreateRoom", "sts:AssumeRole")
_ROOM = f"arn:aws:ivschat:us-east-1:{ACCOUNT}:room/AbCdEf123456"
_CONTEXT: Mapping[str, ContextValue] = {
    "aws:username": "alice*?${x}",
    "aws:sourceip": "2001:db8::1",
    "aws:currenttime": "2025-06-15T15:06:40Z",
    "aws:tagkeys": ("Team", "cost"),
    "aws:requesttag/team": "a" * 256,
}


def frames(pieces: Sequence[bytes], max_message: int = MAXIMUM_MESSAGE) -> list[Event]:
    """Decode what arrives in pieces: what is held stays in its bound, a fault is the last event."""
    decoder = FrameDecoder(max_message)
    events: list[Event] = []
    bound = max_message + HEADER_BYTES + CONTROL_BYTES
    for piece in pieces:
        held = decoder.held
        found = decoder.feed(piece)
        assert decoder.held <= bound, f"{decoder.held} bytes are held"
        assert decoder.held <= held + len(piece)
        assert not (found and events and isinstance(events[-1], ProtocolFault | Close))
        events += found
    assert len(events) <= sum(map(len, pieces)) // 6 + 1
    assert all(not isinstance(each, ProtocolFault | Close) for each in events[:-1])
    assert max_message >= MAXIMUM_FRAGMENTS
    return events


def token(data: bytes) -> ChatTokenClaims | None:
    """Open a chat token; a refusal names no part of it."""
    text = data.decode("latin-1")
    try:
        return open_claims(RING, text)
    except TokenRejected as error:
        _check_names_nothing(text, error)
        return None


def policy(data: bytes) -> PolicyDocument | None:
    """Read an identity-based policy, and decide by it; its fixed form reads as the same."""
    text = data.decode("utf-8", "replace")
    try:
        document = parse_identity_policy(text)
    except MalformedPolicyDocument as error:
        _check_refusal(error)
        return None
    assert parse_identity_policy(to_json(document)) == document
    compiled = CompiledPolicies([CompiledPolicy("fuzz", document)])
    for action in _ACTIONS:
        compiled.decide(AccessRequest(action, _ROOM, _CONTEXT))
        compiled.uses_resource_tags(action)
    return document


def trust_policy(data: bytes) -> PolicyDocument | None:
    """Read a trust policy, and compile it."""
    text = data.decode("utf-8", "replace")
    try:
        document = parse_trust_policy(text)
    except MalformedPolicyDocument as error:
        _check_refusal(error)
        return None
    assert parse_trust_policy(to_json(document), None) == document
    arns = named_arns(document)
    CompiledTrustPolicy(document, dict.fromkeys(arns, "AIDA"))
    assert with_names(document, {arn: arn for arn in arns}) == document
    assert not named_arns(with_names(document, dict.fromkeys(arns, "AIDAJQABLZS4A3QDU576Q")))
    return document


def signed(data: bytes) -> sigv4.Request | None:
    """Verify a request's signature; return it only if it is good."""
    request = request_of(data)
    try:
        authorization = sigv4.authorization_of(request)
        sigv4.verify(request, authorization, SECRET, NOW)
    except ServiceError as error:
        _check_refusal(error)
        return None
    return request


def body(operation: str, data: bytes) -> Mapping[str, object] | None:
    """Read the body of a request to the API; only members of the input get through."""
    try:
        params = parse(OPERATIONS[operation], {}, b"", b"application/json", data)
    except ServiceError as error:
        _check_refusal(error)
        return None
    assert params.keys() <= OPERATIONS[operation].input.members.keys()
    return params


def form(data: bytes) -> Mapping[str, object] | None:
    """Read the form of a request to IAM or STS, as the operation that it names."""
    try:
        found = query_protocol.read_form(b"", query_protocol.FORM_TYPE, data)
        for service in VERSIONS:
            name = found.values.get("Action", "")
            if name in model(service).operation_names:
                return query_protocol.parse(operation(service, name), found)
        found.action("iam")
    except ServiceError as error:
        _check_refusal(error)
    return None


def identities(data: bytes) -> Declared | None:
    """Read an identities file; a fault is one line that names its place."""
    text = data.decode("utf-8", "replace")
    try:
        return parse_identities(text, CONTEXT, Path("/nowhere"))
    except IdentitiesRefused as refused:
        _check_one_line(str(refused))
        return None


def proxy(data: bytes) -> ProxyHeader | None:
    """Read a PROXY header: it is no longer than what came, and than it may be."""
    try:
        found = parse_proxy(data)
    except ProxyFault:
        return None
    if found is None:
        assert len(data) < MAXIMUM_BYTES, "more is waited for than may come"
        return None
    assert 0 < found.size <= min(len(data), MAXIMUM_BYTES)
    assert len(found.address) in {0, 4, 16}
    return found


def forwarded(data: bytes) -> list[bytes]:
    """Read forwarding headers, one a line; each way ends at an address."""
    headers = [
        (name.strip().lower(), value.strip())
        for name, _, value in (line.partition(b":") for line in data.split(b"\n"))
    ]
    found = [
        TrustedProxies(_PROXIES, header).origin(_PROXY, headers).address
        for header in ForwardedHeader
    ]
    assert all(len(each) in {4, 16} for each in found)
    assert TrustedProxies(_PROXIES).origin(UNKNOWN, headers).address == UNKNOWN
    return found


def query(operation: str, data: bytes) -> Mapping[str, object] | None:
    """Read the query of a request to the API."""
    try:
        return parse(OPERATIONS[operation], {"resourceArn": _ROOM}, data, None, b"")
    except ServiceError as error:
        _check_refusal(error)
        return None


def upgrade(data: bytes) -> bytes | None:
    """Read an upgrade request; return its token. Either answer is one head, whatever was sent."""
    request = request_of(data)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
    try:
        found = parse_upgrade(request.method.encode("latin-1"), headers)
    except HandshakeRefused as refused:
        answer = refusal_response(refused, "id")
        assert answer.count(b"\r\n\r\n") == 1
        return None
    assert accept_response(found).count(b"\r\n") == 6
    return found.token.encode("ascii")


def request_of(data: bytes) -> sigv4.Request:
    """Read bytes as a request, as far as one goes: no parser of HTTP, but one for its parts."""
    text, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = text.decode("latin-1").split("\r\n")
    method, _, target = first.partition(" ")
    path, _, query_string = target.rpartition(" HTTP/")[0].partition("?")
    pairs = [line.partition(":") for line in lines if ":" in line]
    headers = tuple((name.lower(), value.strip(" \t")) for name, _, value in pairs)
    return sigv4.Request(method, path, query_string, headers, rest)


def _check_refusal(error: ServiceError) -> None:
    assert 400 <= error.status < 500
    assert error.message


def _check_names_nothing(text: str, error: TokenRejected) -> None:
    assert len(text) < 8 or text not in str(error)


def _check_one_line(text: str) -> None:
    assert text
    assert "\n" not in text
