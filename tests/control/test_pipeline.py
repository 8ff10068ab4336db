"""The pipeline: from a request to its answer, whatever happens on the way.

Covers: greenroom.control.app, greenroom.control.asgi
"""

from unittest.mock import create_autospec

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.aws import query_service
from greenroom.aws.signature.sigv4 import Request
from greenroom.chat.account_rates import AccountRates
from greenroom.control.app import ControlPlane
from greenroom.control.ivschat import api as ivschat_api
from greenroom.control.ivschat.operations import HANDLERS
from greenroom.control.pipeline import USER_AGENT_BYTES, Incoming
from greenroom.control.request_body import BODY_BYTES
from greenroom.control.trail import Trail
from greenroom.identities.callers import Caller as Identity
from greenroom.identities.callers import Callers, root_principal
from greenroom.model.errors import InternalServerException
from greenroom.model.principal import Principal, PrincipalType
from greenroom.model.quotas import RateProfile
from greenroom.policies.decision import NO_POLICIES
from greenroom.storage.base import StorageUnavailable
from tests.control.iam_caller import ROOT, IamCaller, caller_of
from tests.stand_ins.caller import ACCOUNT, STRANGER, Caller

NOBODY = Principal(
    arn=f"arn:aws:iam::{ACCOUNT}:user/nobody",
    account=ACCOUNT,
    type=PrincipalType.USER,
    user_id="AIDA1",
    user_name="nobody",
    permissions=NO_POLICIES,
)
UNSIGNED = Request("POST", "/CreateRoom", "", (("host", "h"),), b"{}")


async def test_answers_have_ids_and_cors() -> None:
    """Success and error alike carry a request id of their own, and may be read by browsers."""
    api = Caller()
    answers = [await api.call("ListRooms"), await api.send(UNSIGNED), await api.send(UNSIGNED)]
    assert [answer.status for answer in answers] == [200, 403, 403]
    assert len({answer.headers["x-amzn-requestid"] for answer in answers}) == 3
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["content-type"] == "application/json"
    assert answers[1].body["__type"] == "MissingAuthenticationTokenException"


def test_what_full_memories_gave_up() -> None:
    """Each memory has its number, which is what it says itself."""
    plane = Caller().plane
    assert plane.evicted == dict.fromkeys(
        ("request_rates", "callers", "unknown_keys", "key_uses"), 0
    )


def test_rates_are_shared() -> None:
    """Requests count on all nodes from when the plane is told."""
    rates = create_autospec(AccountRates, instance=True)
    Caller().plane.share_rates(rates)
    ((kind, _most),) = [call.args for call in rates.buckets.mock_calls]
    assert kind == "requests"


async def test_success_without_content() -> None:
    """A 204 has neither body nor length."""
    api = Caller()
    answer = await api.call("DeleteRoom", identifier=await api.created())
    assert (answer.status, answer.body) == (204, None)
    assert "content-length" not in answer.headers


async def test_preflight() -> None:
    """A browser's question is answered without a signature, with what it asked for."""
    api = Caller()
    asking = (("host", "h"), ("access-control-request-headers", "x-amz-date,amz-sdk-request"))
    answer = await api.send(Request("OPTIONS", "/CreateRoom", "", asking, b""))
    assert answer.status == 204
    assert answer.headers["access-control-allow-headers"] == asking[1][1]
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    bare = await api.send(Request("OPTIONS", "*", "", (), b""))
    assert bare.headers["access-control-allow-headers"] == "authorization,content-type"


async def test_signature_comes_first() -> None:
    """Nothing is told to those who do not sign: not which paths exist, nor what was malformed."""
    api = Caller()
    for path in ("/CreateRoom", "/Nothing", "/tags/x"):
        answer = await api.send(msgspec.structs.replace(UNSIGNED, raw_path=path, body=b"{"))
        assert answer.error() == (403, "MissingAuthenticationTokenException")


async def test_signature_of_yesterday() -> None:
    """The signature is held to the service's own clock."""
    api = Caller()
    sent: list[Request] = []
    send = api.send

    async def record(request: Request) -> None:
        sent.append(request)

    api.send = record  # type: ignore[method-assign, assignment]
    await api.call("ListRooms")
    api.send = send  # type: ignore[method-assign]
    assert (await api.send(sent[0])).status == 200
    api.time.advance(86_400)
    assert (await api.send(sent[0])).error() == (403, "InvalidSignatureException")


async def test_body_in_chunks() -> None:
    """A body is put together from what arrives; one that never ends is an error of the client."""
    api = Caller()
    chunked = await api.send(UNSIGNED, b"{", b"}", b"")
    assert chunked.status == 403
    cut = await api.send(UNSIGNED, b"{", ends=False)
    assert cut.error() == (400, "ValidationException")


@pytest.mark.parametrize(("size", "status"), [(BODY_BYTES, 403), (BODY_BYTES + 1, 413)])
async def test_body_bound(size: int, status: int) -> None:
    """A body of more than the bound is refused, before anything looks at it."""
    api = Caller()
    half = b"x" * (size // 2)
    answer = await api.send(UNSIGNED, half, b"x" * (size - len(half)))
    assert answer.status == status


async def test_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours is a 500 in JSON; log and answer share the id and have no text of it."""

    async def crash(_: object) -> dict[str, object]:
        raise ValueError("what a user wrote")

    monkeypatch.setitem(HANDLERS, "ListRooms", crash)
    with capture_logs() as logs:
        answer = await Caller().call("ListRooms")
    assert answer.error() == (500, "InternalServerException")
    assert answer.body["message"] == "An internal error occurred."
    entry, answered = logs
    assert entry["request_id"] == answer.headers["x-amzn-requestid"]
    assert entry["operation"] == answered["operation"] == "ListRooms"
    assert (entry["account"], entry["region"]) == (ACCOUNT, "us-east-1")
    assert (answered["status"], answered["log_level"]) == (500, "debug")
    assert (entry["error"], entry["log_level"]) == ("ValueError", "error")
    assert "what a user wrote" not in str(entry)


async def test_storage_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot answer is a 503 that SDKs retry, with a line in the log."""

    async def full(_: object) -> dict[str, object]:
        raise StorageUnavailable("The disk is full")

    monkeypatch.setitem(HANDLERS, "ListRooms", full)
    with capture_logs() as logs:
        answer = await Caller().call("ListRooms")
    assert answer.error() == (503, "ServiceUnavailableException")
    assert [entry["event"] for entry in logs] == ["request failed", "request answered"]


async def test_a_failure_of_ours_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that is told by its name."""

    async def fail(_: object) -> dict[str, object]:
        raise InternalServerException("told")

    monkeypatch.setitem(HANDLERS, "ListRooms", fail)
    with capture_logs() as logs:
        answer = await Caller().call("ListRooms")
    assert answer.error() == (500, "InternalServerException")
    assert [entry["event"] for entry in logs] == ["request failed", "request answered"]


async def test_logs_hold_no_content() -> None:
    """Requests that are refused leave nothing of what they held in the log."""
    api = await Caller().listening()
    room = await api.created()
    with capture_logs() as logs:
        await api.call("SendEvent", roomIdentifier=room, eventName="secret", attributes={"s": 1})
        await api.call("CreateChatToken", roomIdentifier=room, userId="secret")
    assert [entry["log_level"] for entry in logs] == ["debug"] * 2
    assert "secret" not in str(logs)
    assert logs[1]["resource"] == room


async def test_requests_are_counted() -> None:
    """By operation and status, with their seconds; what proved nothing counts as unknown."""
    api = Caller()
    room = await api.created()
    await api.call("GetRoom", identifier=room)
    await api.call("GetRoom", identifier="x")
    await api.send(UNSIGNED)
    value = api.services.metrics.registry.get_sample_value
    counts = {
        (operation, status): value(
            "greenroom_control_requests_total", {"operation": operation, "status": status}
        )
        for operation, status in (
            ("CreateRoom", "200"),
            ("GetRoom", "200"),
            ("GetRoom", "400"),
            ("unknown", "403"),
        )
    }
    assert set(counts.values()) == {1.0}
    failed = {"operation": "ListRooms", "status": "500"}
    assert value("greenroom_control_requests_total", failed) == 0
    asked = {"operation": "GetRoom"}
    assert value("greenroom_control_seconds_count", asked) == 2
    assert 0 < (value("greenroom_control_seconds_sum", asked) or 0) < 60
    timed = value("greenroom_control_seconds_count", {"operation": "GetRoom"})
    assert timed == 2


async def test_every_operation_is_throttled() -> None:
    """Rates are counted per operation, before the parameters are looked at."""
    api = Caller(RateProfile.AWS)
    statuses = [(await api.call("GetRoom", identifier="x")).status for _ in range(6)]
    assert statuses == [400] * 5 + [429]
    assert (await api.call("ListRooms")).status == 200
    assert (await api.call("GetRoom", region="eu-west-1", identifier="x")).status == 400


@pytest.mark.parametrize("account", [ACCOUNT, STRANGER])
async def test_no_policy_is_asked_about_the_root(
    account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root may do everything, decided in one place: no API's authorize sees a root."""
    monkeypatch.setattr(ivschat_api, "authorize", None)
    assert (await Caller().call("ListRooms", account)).status == 200


async def test_others_are_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not the root performs nothing that no policy allows."""
    find = Callers.find

    async def found(callers: Callers, key_id: str, token: str | None) -> Identity:
        caller = await find(callers, key_id, token)
        return msgspec.structs.replace(caller, principal=NOBODY)

    api = Caller()
    room = await api.created()
    monkeypatch.setattr(Callers, "find", found)
    for operation, name in (("DeleteRoom", "identifier"), ("GetRoomState", "roomIdentifier")):
        refused = await api.call(operation, **{name: room})
        assert refused.error() == (403, "AccessDeniedException")
    monkeypatch.undo()
    assert (await api.call("GetRoom", identifier=room)).status == 200


async def test_what_a_request_is_signed_for_says_where_it_goes() -> None:
    """IAM and STS at the root path, where ivschat has no operation."""
    iam, caller = IamCaller(), Caller()
    iam.known.caller = caller_of(ROOT)
    iam.plane = ControlPlane(iam.pipeline, ivschat_api.ivschat_api(caller.services), iam.apis)
    for service, operation in (("iam", "ListUsers"), ("sts", "GetCallerIdentity")):
        version = query_service.VERSIONS[service]
        form = f"Action={operation}&Version={version}".encode()
        status, body = await iam.send(service, form)
        assert (status, f"<{operation}Result>".encode() in body) == (200, True)


def test_policies_see_the_start_of_a_user_agent() -> None:
    """A header may be as long as a head, and each pattern of a policy walks over it."""
    trail = Trail("id", "")
    caller = Identity(
        access_key_id="AKIA",
        secret_access_key="s",
        principal=root_principal(ACCOUNT),
    )
    for agent, seen in ((b"", ""), (b"a" * 60_000, "a" * USER_AGENT_BYTES)):
        scope = {"headers": [(b"user-agent", agent)]}
        facts = Incoming(scope, b"", caller, "us-east-1", 0.0, trail).facts()
        assert facts.user_agent == seen


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False), (None, False)])
def test_policies_see_whether_a_request_came_over_tls(scheme: str | None, secure: bool) -> None:
    """What is not said is not so."""
    caller = Identity(
        access_key_id="AKIA", secret_access_key="s", principal=root_principal(ACCOUNT)
    )
    scope = {"headers": [], "client": ("192.0.2.1", 7)} | ({"scheme": scheme} if scheme else {})
    facts = Incoming(scope, b"", caller, "us-east-1", 5.0, Trail("id", "")).facts()
    assert (facts.secure, facts.source_ip, facts.region) == (secure, "192.0.2.1", "us-east-1")
    assert facts.now.timestamp() == 5.0
