"""The Lambda Invoke API as a target: AWS's own, or any endpoint that speaks it.

Source: AWS Lambda API Reference, "Invoke". The caller needs `lambda:InvokeFunction` and nothing
else: the check of a function is a dry run, which wants the same right.
"""

from contextlib import suppress
from urllib.parse import quote, urlsplit

import msgspec
import structlog
from botocore.exceptions import BotoCoreError

from greenroom.aws.signature.canonical import Request
from greenroom.aws.signature.sigv4 import sign
from greenroom.aws_access.clients import CREDENTIALS_REFUSED, AwsAccess, Service
from greenroom.clock import Clock
from greenroom.review.aws_session import AwsSession
from greenroom.review.client import Answer, Client
from greenroom.review.target import Failure, InvocationFailed

INVALID_PERMISSION = "invalid lambda permission"
"""What the real service says of a function that it may not invoke."""

NOT_FOUND = "lambda function not found"

_PROBLEMS = {403: INVALID_PERMISSION, 404: NOT_FOUND}
_EXPECTED = ("AccessDeniedException", "ResourceNotFoundException")
_FAILURES = {
    403: Failure.FORBIDDEN,
    404: Failure.NOT_FOUND,
    429: Failure.THROTTLED,
}

_NOBODY = (Failure.NO_CREDENTIALS, Failure.OWN_CREDENTIALS)
"""Failures that no retry mends: there is nobody whom Lambda would let invoke anything."""

log = structlog.get_logger()


class _Function(msgspec.Struct, frozen=True):
    """A function's ARN: `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, perhaps `:QUALIFIER`."""

    region: str
    path: str
    query: str

    @classmethod
    def of(cls, uri: str) -> "_Function":
        parts = uri.split(":", 7)
        path = f"/2015-03-31/functions/{quote(':'.join(parts[:7]), safe='')}/invocations"
        query = f"Qualifier={quote(parts[7], safe='')}" if len(parts) > 7 else ""
        return cls(parts[3], path, query)


class LambdaTarget:
    """Invokes functions by their ARN, with the alias or version that it names."""

    def __init__(self, clock: Clock, access: AwsAccess) -> None:
        self._clock = clock
        self._session = AwsSession(clock, access, Service.LAMBDA)
        self._client = Client()

    async def prepare(self, uri: str) -> None:
        await self._session.credentials()
        with suppress(BotoCoreError, ValueError, RuntimeError):
            await self._session.endpoint(_Function.of(uri).region)

    async def invoke(self, uri: str, event: bytes) -> bytes:
        answer = await self._send(uri, event, "RequestResponse")
        if answer.status != 200:
            why = f"{answer.status} {_error(answer)}".strip()
            raise InvocationFailed(_FAILURES.get(answer.status, Failure.BAD_STATUS), why)
        function_error = answer.headers.get("x-amz-function-error")
        if function_error is not None:
            raise InvocationFailed(Failure.HANDLER_ERROR, function_error[:32])
        return answer.body

    async def problem(self, uri: str) -> str | None:
        try:
            answer = await self._send(uri, b"{}", "DryRun")
        except InvocationFailed as failed:
            if failed.failure in _NOBODY:
                return f"{INVALID_PERMISSION}: {failed.failure.meaning}"
            log.warning(
                "review handler not checked: while it fails, fallbackResult decides",
                uri=uri,
                failure=failed.failure.value,
            )
            return None
        error = _error(answer)
        problem = _PROBLEMS.get(answer.status)
        if problem is None and answer.status >= 300:
            log.warning(
                "review handler not checked: while it fails, fallbackResult decides",
                uri=uri,
                status=answer.status,
                error=error,
            )
        if problem is None or error in _EXPECTED:
            return problem
        return f"{problem}: {answer.status} {error}".rstrip()

    async def close(self) -> None:
        self._session.close()
        await self._client.close()

    async def _send(self, uri: str, body: bytes, kind: str) -> Answer:
        function = _Function.of(uri)
        credentials = await self._session.credentials()
        if credentials is None:
            own = self._session.found_own_key
            raise InvocationFailed(Failure.OWN_CREDENTIALS if own else Failure.NO_CREDENTIALS)
        try:
            endpoint = await self._session.endpoint(function.region)
        except (BotoCoreError, ValueError, RuntimeError) as error:
            raise InvocationFailed(Failure.UNREACHABLE, type(error).__name__) from None
        base = urlsplit(endpoint)
        path = base.path.rstrip("/") + function.path
        headers = {
            "host": base.netloc,
            "content-type": "application/json",
            "x-amz-invocation-type": kind,
        }
        request = Request("POST", path, function.query, tuple(headers.items()), body)
        headers |= sign(
            request,
            credentials.access_key_id,
            credentials.secret_access_key,
            function.region,
            "lambda",
            self._clock.now(),
            credentials.session_token,
        )
        query = f"?{function.query}" if function.query else ""
        url = f"{base.scheme}://{base.netloc}{path}{query}"
        answer = await self._client.post(url, body, headers)
        if _error(answer) in CREDENTIALS_REFUSED:
            self._session.distrust()
        return answer


def _error(answer: Answer) -> str:
    """Return the name of the error that an answer reports, "" when it has none."""
    name = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
    return name if name.isascii() and name.isalnum() and len(name) <= 64 else ""
