"""`make bench-control`: requests of the API that one core answers, each one signed and verified.

The requests are signed before they are sent: the client only sends bytes and counts answers. Each
connection has one request on the way and is kept alive. CreateRoom is durable: its answer comes
after the commit.

The root's requests need no policy; a user's are authorized by one of three statements, as an
application's backend has it.

The bare Python server answers the bytes of CreateChatToken's requests without looking at them: that
is what HTTP costs on the same loop. One row is a step of the pipeline by itself: authorizing a
request (see `authorize.py`).
"""

import functools
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import msgspec

from benchmarks import authorize
from benchmarks.bare import BarePython
from benchmarks.calibration import Calibration
from benchmarks.plot import Bar
from benchmarks.processes import BUILT, LOAD_CORE, SERVER_CORE, on_core
from benchmarks.report import Table, write
from benchmarks.runs import Plan, plan, rounds, running
from benchmarks.series import Series, progress
from benchmarks.service import Greenroom, Keys

CONNECTIONS = 32
ROUND = "every operation"
BARE = "bare Python, any request"
REQUESTS = 2_000
"""Different requests, sent in turn."""
BY_A_USER = ", by a user"
USER = Keys("AKIABENCHBENCHBENCH1", "benchmarks/only/benchmarks/only/benchmar")
IDENTITIES = f"""
[users.backend]
keys = [{{ id = "{USER.id}", secret = "{USER.secret}" }}]
[users.backend.policies.application]
Version = "2012-10-17"
[[users.backend.policies.application.Statement]]
Effect = "Allow"
Action = ["ivschat:CreateChatToken", "ivschat:SendEvent", "ivschat:DisconnectUser"]
Resource = "arn:aws:ivschat:us-east-1:123456789012:room/*"
[[users.backend.policies.application.Statement]]
Effect = "Allow"
Action = ["ivschat:CreateRoom", "ivschat:GetRoom", "ivschat:ListRooms"]
Resource = "*"
[[users.backend.policies.application.Statement]]
Effect = "Deny"
Action = "ivschat:*"
Resource = "*"
Condition.StringEquals."aws:ResourceTag/stage" = "closed"
"""


class Answered(msgspec.Struct, frozen=True):
    """What the HTTP client saw. Times are seconds, latencies microseconds."""

    seconds: float
    answered: int
    refused: int
    server_cpu: float
    server_user: float
    client_cpu: float
    p50: float
    p99: float

    @property
    def cpu(self) -> float:
        """Microseconds of the server's CPU for one request."""
        return self.server_cpu * 1e6 / self.answered


class RequestsFailed(Exception):
    """The server refused a request, hung or went away."""


def measure(plan: Plan, calibration: Calibration) -> dict[str, list[Answered]]:
    """Send each operation to a fresh service, in turns, in every round."""
    answers: dict[str, list[Answered]] = {}
    for _ in rounds(plan):
        with running([_service, BarePython]) as (service, bare):
            turns = _turns(cast(Greenroom, service), cast(BarePython, bare), plan)
            names = [name for name in turns if name == BARE or plan.wanted(name)]
            done = calibration.turns(ROUND, [turns[name] for name in names])
            for name, answered in zip(names, done, strict=True):
                answers.setdefault(name, []).append(answered)
            progress(ROUND)
    return answers


def _service(directory: Path) -> Greenroom:
    identities = directory / "identities.toml"
    identities.write_text(IDENTITIES)
    return Greenroom(directory, {"GREENROOM_IDENTITIES_FILE": str(identities)})


def _turns(service: Greenroom, bare: BarePython, plan: Plan) -> dict[str, Callable[[], Answered]]:
    def bare_turn() -> Answered:
        return _replay(service, next(iter(OPERATIONS)), plan, bare=bare)

    served = {name: functools.partial(_replay, service, name, plan) for name in OPERATIONS}
    for name in BY_USERS:
        served[name + BY_A_USER] = functools.partial(_replay, service, name, plan, USER)
    return {**served, BARE: bare_turn, authorize.NAME: functools.partial(_authorize, plan)}


def _authorize(plan: Plan) -> Answered:
    with on_core(SERVER_CORE):
        figures = authorize.measure(plan.warm_up, plan.seconds)
    return msgspec.convert({**figures, "refused": 0, "client_cpu": 0.0}, Answered)


def _create_chat_token(service: Greenroom, number: int) -> Mapping[str, object]:
    return {
        "roomIdentifier": service.room(),
        "userId": f"user-{number}",
        "capabilities": ["SEND_MESSAGE"],
        "attributes": {"displayName": f"User {number}"},
    }


def _create_room(_: Greenroom, number: int) -> Mapping[str, object]:
    return {"name": f"room-{number}", "maximumMessageLength": 500}


def _get_room(service: Greenroom, _: int) -> Mapping[str, object]:
    return {"identifier": service.room()}


OPERATIONS = {
    "CreateChatToken": _create_chat_token,
    "GetRoom": _get_room,
    "CreateRoom": _create_room,
}
BY_USERS = ("CreateChatToken", "CreateRoom")
"""Operations that are measured with a user's key, too."""


def _replay(
    service: Greenroom,
    operation: str,
    plan: Plan,
    keys: Keys | None = None,
    bare: BarePython | None = None,
) -> Answered:
    """Send an operation's requests, signed by the root or with keys, or to the bare server."""
    server = bare or service
    with tempfile.NamedTemporaryFile(prefix="greenroom-bench-") as file, on_core(LOAD_CORE):
        for number in range(REQUESTS):
            request = _request(service, operation, number, keys)
            file.write(b"%d\n" % len(request) + request)
        file.flush()
        url = f"http://127.0.0.1:{server.port}/"
        words = [str(BUILT / "replay"), url, file.name, str(CONNECTIONS)]
        done = subprocess.run(  # noqa: S603 - our own program
            [*words, str(plan.warm_up), str(plan.seconds), str(server.pid)],
            capture_output=True,
            text=True,
            timeout=plan.seconds + 60,
            check=False,
        )
    if done.returncode:
        raise RequestsFailed(f"{operation}: {done.stderr}{done.stdout}")
    return msgspec.json.decode(done.stdout, type=Answered)


def _request(service: Greenroom, operation: str, number: int, keys: Keys | None) -> bytes:
    headers, body = service.signed(operation, OPERATIONS[operation](service, number), keys=keys)
    head = [f"POST /{operation} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode() + body


def table(answers: Mapping[str, list[Answered]], calibration: Calibration) -> Table:
    """Return the table of what was measured."""
    bare = Series([each.cpu for each in answers[BARE]])
    rows, bars = [], []
    for operation, all_answered in answers.items():
        cpu = Series([each.cpu for each in all_answered])
        per_core = Series([1e6 / each.cpu for each in all_answered])
        rows.append(
            [
                operation,
                per_core.text(0),
                cpu.text(1),
                cpu.over(bare).text(1) if operation != BARE else "1",
                Series([each.server_user * 1e6 / each.answered for each in all_answered]).text(1),
                Series([each.answered / each.seconds for each in all_answered]).text(0),
                *_waiting(operation, all_answered),
            ]
        )
        bars.append(Bar(operation, Greenroom.name, per_core, 0))
    return Table(
        name="control",
        title="The API",
        columns=[
            "operation",
            "requests per second of a core",
            "CPU µs per request",
            "ratio to bare Python",
            "user-space µs",
            "requests per second",
            "p50 ms",
            "p99 ms",
            "client CPU",
        ],
        rows=rows,
        bars=bars,
        axis="requests per second of a server core",
        notes=[
            f"{CONNECTIONS} connections with one request on the way each. The client never sleeps.",
            "CPU is that of all threads, the store's among them. Every request is audited.",
            "Where the server waits for the disk, it answers fewer than its core could.",
            f"`{authorize.NAME}`: that step of CreateChatToken alone, without a server.",
            calibration.note(),
        ],
    )


def _waiting(operation: str, all_answered: list[Answered]) -> list[str]:
    """Return the cells about answers that are waited for: none for a step without a client."""
    if operation == authorize.NAME:
        return ["", "", ""]
    return [
        Series([each.p50 / 1e3 for each in all_answered]).text(1),
        Series([each.p99 / 1e3 for each in all_answered]).text(1),
        f"{Series([each.client_cpu / each.seconds for each in all_answered]).median:.0%}",
    ]


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "", seconds=3)
    calibration = Calibration(chosen.attempts)
    answers = measure(chosen, calibration)
    write(table(answers, calibration), chosen, answers)


if __name__ == "__main__":
    main()
