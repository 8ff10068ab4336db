"""`make bench-control`: requests of the API that one core answers, each one signed and verified.

The requests are signed before they are sent: the client only sends bytes and counts answers. Each
connection has one request on the way and is kept alive. CreateRoom is durable: its answer comes
after the commit.

One row is a step of the pipeline by itself: authorizing a request (see `authorize.py`).
"""

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks import authorize
from benchmarks.plot import Bar
from benchmarks.processes import BUILT, LOAD_CORE, SERVER_CORE, on_core
from benchmarks.report import Table, write
from benchmarks.runs import Plan, Series, plan, progress, rounds
from benchmarks.service import Greenroom

CONNECTIONS = 32
REQUESTS = 2_000
"""Different requests, sent in turn."""


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


def measure(plan: Plan) -> dict[str, list[Answered]]:
    """Send each operation to a fresh service, in turns, in every round."""
    answers: dict[str, list[Answered]] = {}
    for _ in rounds(plan):
        with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as directory:
            service = Greenroom(Path(directory))
            try:
                for operation in filter(plan.wanted, OPERATIONS):
                    done = _replay(service, operation, Path(directory), plan)
                    answers.setdefault(operation, []).append(done)
                    progress(operation)
            finally:
                service.stop()
        if plan.wanted(authorize.NAME):
            answers.setdefault(authorize.NAME, []).append(_authorize(plan))
            progress(authorize.NAME)
    return answers


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


def _replay(service: Greenroom, operation: str, directory: Path, plan: Plan) -> Answered:
    requests = directory / "requests"
    with requests.open("wb") as file:
        for number in range(REQUESTS):
            request = _request(service, operation, number)
            file.write(b"%d\n" % len(request) + request)
    url = f"http://127.0.0.1:{service.port}/"
    words = [str(BUILT / "replay"), url, str(requests), str(CONNECTIONS)]
    with on_core(LOAD_CORE):
        done = subprocess.run(  # noqa: S603 - our own program
            [*words, str(plan.warm_up), str(plan.seconds), str(service.pid)],
            capture_output=True,
            text=True,
            timeout=plan.seconds + 60,
            check=False,
        )
    if done.returncode:
        raise RequestsFailed(f"{operation}: {done.stderr}{done.stdout}")
    return msgspec.json.decode(done.stdout, type=Answered)


def _request(service: Greenroom, operation: str, number: int) -> bytes:
    headers, body = service.signed(operation, OPERATIONS[operation](service, number))
    head = [f"POST /{operation} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode() + body


def table(answers: Mapping[str, list[Answered]]) -> Table:
    """Return the table of what was measured."""
    rows, bars = [], []
    for operation, all_answered in answers.items():
        cpu = Series([each.cpu for each in all_answered])
        per_core = Series([1e6 / each.cpu for each in all_answered])
        rows.append(
            [
                operation,
                per_core.text(0),
                cpu.text(1),
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
            "CPU is that of all threads, the store's among them.",
            "Where the server waits for the disk, it answers fewer than its core could.",
            f"`{authorize.NAME}`: that step of CreateChatToken alone, without a server.",
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
    answers = measure(chosen)
    write(table(answers), chosen, answers)


if __name__ == "__main__":
    main()
