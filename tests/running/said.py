"""What a running service says of itself: its log and its metrics; and waiting for it."""

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.running.service import Service
from tests.running.wire import PATIENCE


def entries(service: Service, event: str) -> list[dict[str, Any]]:
    """Return the log's entries of one event."""
    lines = service.log.read_text().splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{") and event in line]
    return [entry for entry in found if entry["event"] == event]


def ends(service: Service) -> Counter[str]:
    """Return how many connections ended, by reason; a peer's own end is none that the log names.

    A running service tells it in its metrics, one that has stopped in its log.
    """
    found = Counter[str]()
    if service.process.poll() is None:
        for name, value in samples(service).items():
            metric, _, reason = name.partition(":")
            if metric == "greenroom_disconnects_total" and value:
                found[reason] = int(value)
    else:
        for entry in entries(service, "connection ended"):
            found[entry["reason"]] += entry.get("times", 1)
    for reason in ("peer_closed", "peer_lost"):
        del found[reason]
    return found


def assert_no_faults(service: Service) -> None:
    """Check that the log tells of nothing that crashed."""
    text = service.log.read_text()
    for word in ("crashed", "fault in the event loop", "Traceback"):
        found = [line for line in text.splitlines() if word in line]
        assert not found, f"{found[0]}\n...\n{text[-4000:]}"


def failing(service: Service) -> dict[str, str]:
    """Return what the health says that fails."""
    try:
        with urllib.request.urlopen(f"{service.api_url}/health/ready") as answer:
            body = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            body = json.load(error)
    found: dict[str, str] = body.get("failing", {})
    return found


def samples(service: Service) -> dict[str, float]:
    """Return every sample of the metrics, by its name with its labels' values."""
    with urllib.request.urlopen(f"{service.api_url}/metrics") as answer:
        text = answer.read().decode()
    return {
        ":".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until a condition holds, in a test that blocks.

    Raises:
        AssertionError: it never did; the message says what.
    """
    began = time.monotonic()
    deadline = began + seconds
    while not condition():
        looked = time.monotonic()
        assert looked < deadline, f"never happened: {what}"
        time.sleep(pause_after(looked - began))
        began = time.monotonic()


def pause_after(look_seconds: float) -> float:
    """Return how long to wait until the next look: who looks leaves what is waited for the core.

    A look that runs a command takes seconds on a busy machine: that is not waited for thrice.
    """
    return min(max(0.02, 3 * look_seconds), 0.5)


def banner(service: Service) -> str:
    """Return what a service has said when it shows where it is: behind its ready file."""
    until(lambda: "\nStop it: " in service.log.read_text(), "the service shows where it is")
    return service.log.read_text()
