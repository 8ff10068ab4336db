"""The IAM and STS APIs in memory, called with what botocore writes and reads."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import msgspec
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from greenroom.aws import query, query_xml
from greenroom.control.iam.api import QueryApi
from greenroom.control.iam.call import IamServices
from greenroom.control.trail import Trail
from greenroom.identities.callers import Caller
from greenroom.identities.permissions import compile_policies
from greenroom.identities.resolver import Resolver
from greenroom.model.errors import ServiceError
from greenroom.model.principal import Principal, PrincipalType
from greenroom.policies.decision import NO_POLICIES, CompiledPolicies, CompiledPolicy
from greenroom.policies.document import parse_identity_policy
from greenroom.policies.request_context import RequestFacts
from greenroom.storage.memory.store import MemoryStore
from greenroom.tokens.key_ring import KeyRing
from greenroom.vault.sealing import Sealer
from tests.hand_clock import HandClock

ACCOUNT = "123456789012"
ROOT = Principal(
    arn=f"arn:aws:iam::{ACCOUNT}:root",
    account=ACCOUNT,
    type=PrincipalType.ACCOUNT,
    user_id=ACCOUNT,
    permissions=NO_POLICIES,
)
FORM = b"application/x-www-form-urlencoded; charset=utf-8"


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
        )
        self.api = QueryApi(self.services, self.changed.append)
        self.resolver = Resolver(
            self.store.identities,
            self.services.sealer,
            self.services.ring,
            compile_policies,
            self.time.clock,
            ["AKIDOFCALLER"],
        )

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
        form = query.read_form(b"", FORM, urlencode(written["body"]).encode())
        facts = RequestFacts(
            region="us-east-1",
            now=datetime.fromtimestamp(self.time.clock.now(), UTC),
            source_ip="192.0.2.1",
        )
        caller = principal if isinstance(principal, Caller) else caller_of(principal)
        try:
            response = await self.api.respond(
                service, form, caller, facts, Trail("id-1", "192.0.2.1")
            )
        except ServiceError as failure:
            response = query_xml.serialize_error(failure, service, "id-1")
        shape: Any = described.output_shape
        read = create_parser("query").parse(
            {"status_code": response.status, "headers": {}, "body": response.body}, shape
        )
        if response.status != 200:
            error = read["Error"]
            raise Refused(error["Code"], error["Message"], response.status)
        read.pop("ResponseMetadata", None)
        return dict(read)

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
