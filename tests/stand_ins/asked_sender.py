"""In place of what sends a client's requests: notes what is asked for, and answers as told."""

from collections.abc import Mapping
from typing import Any

from greenroom.aws.shapes import Operation
from greenroom.client.api.client import Client
from greenroom.client.api.sending import Response


class AskedSender:
    """Sends nothing; each request takes the next of its answers, an error is raised."""

    clock_offset = 7.0

    def __init__(self, *answers: object) -> None:
        self.asked: list[tuple[str, dict[str, object]]] = []
        """Operations, and their parameters under the model's names."""
        self.signed: list[bool] = []
        self.closed = 0
        self._answers = list(answers)

    async def send(
        self, operation: Operation, params: Mapping[str, object], *, signed: bool
    ) -> Response:
        """Take a request."""
        self.asked.append((operation.name, dict(params)))
        self.signed.append(signed)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Response(answer, 200, "the-request", {}, 2, 0)

    async def close(self) -> None:
        """Count how often it is closed."""
        self.closed += 1


def instead(client: Client, *answers: object) -> AskedSender:
    """Have a client ask such a sender."""
    sender: Any = AskedSender(*answers)
    client._sender = sender
    return sender  # type: ignore[no-any-return]  # what was just made
