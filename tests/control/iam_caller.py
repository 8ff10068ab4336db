"""The IAM and STS APIs in memory, called with what botocore writes and reads."""

import itertools
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import msgspec
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from greenroom.aws.signature.sigv4 import Request, sign
from greenroom.bus.memory import MemoryBus
from greenroom.control.app import ControlPlane
from greenroom.control.iam.api import IamApi, iam_apis
from greenroom.control.iam.call import IamServices
from greenroom.control.long_work import LongWork
from greenroom.control.pipeline import Pipeline
from greenroom.identities.accounts import Accounts
from greenroom.identities.callers import Caller, Callers
from greenroom.identities.permissions import compile_policies
from greenroom.identities.resolver import Resolver
from greenroom.model.principal import Principal, PrincipalType
from greenroom.model.quotas import Quotas, RateProfile
from greenroom.policies.decision import NO_POLICIES, CompiledPolicies, CompiledPolicy
from greenroom.policies.document import parse_identity_policy
from greenroom.storage.memory.store import MemoryStore
from greenroom.telemetry.metrics import Metrics
from greenroom.tokens.key_ring import KeyRing
from greenroom.vault.sealing import Sealer
from tests.stand_ins.hand_clock import HandClock

ACCOUNT = "123456789012"
ROOT = Principal(
    arn=f"arn:aws:iam::{ACCOUNT}:root",
    account=ACCOUNT,
    type=PrincipalType.ACCOUNT,
    user_id=ACCOUNT,
    permissions=NO_POLICIES,
)
FORM = b"application/x-www-form-urlencoded; charset=utf-8"
REGION = "us-east-1"


def caller_of(principal: Principal) -> Caller:
    """Return the caller that a principal is with a long-term key."""
    return Caller(access_key_id="AKIDOFCALLER", secret_access_key="", principal=principal)


@lru_cache(maxsize=2)
def model(service: str) -> ServiceModel:
    """Return botocore's model of a service."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


class Refused(Exception):
    """An error, as botocore read it."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


class Known(Callers):
    """Takes whoever signs for the caller that a test says."""

    caller: Caller

    async def find(self, access_key_id: str, session_token: str | None) -> Caller:
        return self.caller


class IamCaller:
    """An account, and calls to its IAM and STS."""

    def __init__(self) -> None:
        self.time, self.store = HandClock(), MemoryStore()
        self.changed: list[str] = []
        counter = itertools.count(1)
        self.services = IamServices(
            identities=self.store.identities,
            clock=self.time.clock,
            entropy=lambda size: next(counter).to_bytes(size, "little"),
            sealer=Sealer(bytes(32)),
            ring=KeyRing({"k": bytes(32)}, "k"),
            simulations=LongWork(lambda: 0.0),  # on a busy machine all of it takes longer
        )
        self.known = Known(clock=self.time.clock)
        accounts = Accounts(self.store.identities, MemoryBus(), self.time.clock)
        self.pipeline = Pipeline(
            self.known, accounts, self.time.clock, Quotas(RateProfile.OFF), Metrics()
        )
        self.plane: ControlPlane | None = None
        """What finds the API of a request; else it is found by the service."""
        self.serve(self.services)
        self.resolver = Resolver(
            self.store.identities,
            self.services.sealer,
            self.services.ring,
            compile_policies,
            self.time.clock,
            ["AKIDOFCALLER"],
        )

    def serve(self, services: IamServices) -> None:
        """Serve the APIs with these services from now on."""
        self.apis: Mapping[str, IamApi] = iam_apis(services, self.changed.append)

    async def __call__(
        self,
        operation: str,
        principal: Principal | Caller = ROOT,
        service: str = "iam",
        **parameters: Any,
    ) -> dict[str, Any]:
        """Return the result of an operation.

        Raises:
            Refused: the service refused.
        """
        described = model(service).operation_model(operation)
        written = create_serializer("query").serialize_to_request(parameters, described)
        self.known.caller = principal if isinstance(principal, Caller) else caller_of(principal)
        status, body = await self.send(service, urlencode(written["body"]).encode())
        shape: Any = described.output_shape
        read = create_parser("query").parse(
            {"status_code": status, "headers": {}, "body": body}, shape
        )
        if status != 200:
            error = read["Error"]
            raise Refused(error["Code"], error["Message"], status)
        read.pop("ResponseMetadata", None)
        return dict(read)

    async def send(self, service: str, form: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer to a form, signed by the caller that is known."""
        headers = (("host", "h"), ("content-type", FORM.decode()))
        request = Request("POST", "/", "", headers, form)
        key, now = self.known.caller, self.time.clock.now()
        added = sign(request, key.access_key_id, key.secret_access_key, REGION, service, now)
        scope = {
            "method": "POST",
            "raw_path": b"/",
            "query_string": b"",
            "client": ("192.0.2.1", 1),
            "headers": [(n.encode(), v.encode()) for n, v in (*headers, *added.items())],
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": form}

        async def send(message: Any) -> None:
            sent.append(message)

        if self.plane is None:
            await self.pipeline.answer(self.apis[service], scope, receive, send)
        else:
            await self.plane(scope, receive, send)
        return sent[0]["status"], sent[1]["body"]

    async def sts(
        self, operation: str, principal: Principal | Caller = ROOT, **parameters: Any
    ) -> dict[str, Any]:
        """Return the result of an operation of STS."""
        return await self(operation, principal, "sts", **parameters)

    async def session(self, credentials: dict[str, Any]) -> Caller:
        """Return whom the service takes the owner of temporary credentials for."""
        caller = await self.resolver.resolve(
            credentials["AccessKeyId"], credentials["SessionToken"]
        )
        assert caller.secret_access_key == credentials["SecretAccessKey"]
        return caller

    async def user(self, name: str = "anna", document: str | None = None) -> Principal:
        """Create a user that may do what the document says, and return it as a caller."""
        made = (await self("CreateUser", UserName=name))["User"]
        policies = [] if document is None else [parse_identity_policy(document)]
        return Principal(
            arn=made["Arn"],
            account=ACCOUNT,
            type=PrincipalType.USER,
            user_id=made["UserId"],
            permissions=CompiledPolicies(CompiledPolicy("given", each) for each in policies),
            user_name=name,
        )


def policy(
    *actions: str, effect: str = "Allow", resource: object = "*", **statement: object
) -> str:
    """Return a document of one statement."""
    body: Mapping[str, object] = {
        "Effect": effect,
        "Action": list(actions),
        "Resource": resource,
        **statement,
    }
    return msgspec.json.encode({"Version": "2012-10-17", "Statement": [body]}).decode()


def trust(principal: object = None, *actions: str, **statement: object) -> str:
    """Return a trust policy."""
    body = {
        "Effect": "Allow",
        "Principal": principal or {"AWS": ACCOUNT},
        "Action": list(actions or ("sts:AssumeRole",)),
        **statement,
    }
    return msgspec.json.encode({"Version": "2012-10-17", "Statement": [body]}).decode()
