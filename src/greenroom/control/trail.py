"""What the audit log says about a request: gathered along the pipeline, written at its end.

- Written are the operations that change, issue or moderate, and every request that was refused:
  the pipeline says which.
- Of refused requests as many are written as `refusals` admits; the next line of the same caller
  says how many were left out, and the service's log whose they are.
- Which parameters: `audit_details`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from greenroom.audit.entry import SUCCESS, AuditEntry
from greenroom.audit.log import AuditLog
from greenroom.audit.refusals import NOBODY, Refusals
from greenroom.clock import Clock
from greenroom.control.asgi import Scope
from greenroom.control.audit_details import details, resources
from greenroom.identities.callers import Caller
from greenroom.model.principal import Principal
from greenroom.process.randomness import new_request_id
from greenroom.telemetry.bounded_log import BoundedLog

LEFT_OUT = "audit lines left out"
"""What the service's log says when refused requests are too many for the audit log."""


class Trail:
    """What is known of one request so far."""

    __slots__ = (
        "access_key_id", "caller", "is_free", "operation", "parameters", "region", "request_id",
        "result", "reveals", "source_ip",
    )  # fmt: skip

    def __init__(self, request_id: str, source_ip: str) -> None:
        self.request_id = request_id
        self.source_ip = source_ip
        self.access_key_id = ""
        self.region = ""
        self.caller: Caller | None = None
        """Set with the region when the signature is verified: before, that has any length."""
        self.operation = ""
        self.is_free = False
        """Whether everybody may do it: of that, as of refusals, not every line is written."""
        self.reveals = False
        """Whether it reads what not everybody may see: of that the audit log has each."""
        self.parameters: Mapping[str, object] = {}
        self.result: Mapping[str, object] = {}

    def names(self) -> dict[str, str]:
        """Return what a line of the service's own log may say: nothing that was not proved."""
        known = {"request_id": self.request_id, "operation": self.operation}
        if self.caller is not None:
            known |= {"account": self.caller.account, "region": self.region}
        resource = next(iter(resources(self.parameters, self.result)), "")
        return {name: value for name, value in (known | {"resource": resource}).items() if value}


def new_trail(scope: Scope) -> Trail:
    """Begin the trail of an HTTP request."""
    return Trail(new_request_id(), (scope.get("client") or ("",))[0])


class Auditor:
    """Writes trails to the audit log, if there is one."""

    def __init__(self, audit_log: AuditLog | None, clock: Clock, logger: BoundedLog) -> None:
        self._log = audit_log
        self._clock = clock
        self._logger = logger

    async def finish(self, trail: Trail, outcome: str = SUCCESS) -> None:
        """Write the request's line, unless it is one too many; `outcome` is a refusal's code."""
        if self._log is None:
            return
        principal = None if trail.caller is None else trail.caller.principal
        suppressed = self._suppressed(self._log.refusals, trail, outcome, principal)
        if suppressed is None:
            return
        await self._log.record(
            AuditEntry(
                time=datetime.fromtimestamp(self._clock.now(), UTC),
                event=trail.operation,
                outcome=outcome,
                request_id=trail.request_id,
                arn="" if principal is None else principal.arn,
                principal_id="" if principal is None else principal.user_id,
                access_key_id=trail.access_key_id,
                source_ip=trail.source_ip,
                region=trail.region,
                resources=resources(trail.parameters, trail.result),
                details=details(
                    trail.operation, trail.parameters, trail.result, done=outcome == SUCCESS
                ),
                suppressed=suppressed,
            )
        )

    def _suppressed(
        self, refusals: Refusals, trail: Trail, outcome: str, principal: Principal | None
    ) -> int | None:
        """Return how many lines were left out before this one, or None to leave it out, too."""
        caller = NOBODY if principal is None else principal.principal_arn
        if outcome == SUCCESS and not trail.is_free:
            return refusals.take(caller)
        suppressed = refusals.admit(caller, self._clock.monotonic())
        if suppressed is None:
            self._logger.write(
                "warning", LEFT_OUT, address=trail.source_ip, caller=caller or "not proved"
            )
        return suppressed
