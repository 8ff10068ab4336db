"""What tests of every folder may ask for."""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.running import alone, over_tls
from tests.running.scheduling import UnitScheduling, place_of
from tests.stand_ins.loose_tasks import FAILED

pytest_plugins = ["tests.running.servers", "tests.running.many_nodes"]

over_tls.prepare()

# Nothing is judged by the clock: a neighbour on the machine makes any example slow.
settings.register_profile(
    "greenroom", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("greenroom")

Measured = Callable[[str, object], None]


def pytest_configure() -> None:
    """Let Ctrl-C be heard by what the tests start: a shell has its background jobs ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of a Chromium. Without one the test is skipped; in CI it fails."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    for name in names:
        if name and (path := shutil.which(name)):
            return over_tls.trusting_browser(path)
    reason = "needs Chromium: install it (Debian: apt-get install chromium) or name one in CHROMIUM"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Return a function that reports a number without judging it.

    The numbers stand at the end of a serial run, and in every JUnit file.
    """

    def report(name: str, value: object) -> None:
        request.node.user_properties.append((name, value))

    return report


@pytest.fixture(scope="session")
def aws_url() -> Iterator[str]:
    """Give the URL of a server that speaks the protocols of AWS's services, moto's."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws_credentials(no_aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let botocore find credentials, which nobody outside of the tests knows."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret-of-anybody")


@pytest.fixture
def no_aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide from botocore what the machine has: variables, files and an instance's role."""
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """Undo what the command does to a process that it takes for the service's own."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.getsignal(number) for number in numbers]
    collects, thresholds = gc.isenabled(), gc.get_threshold()
    yield
    for number, handler in zip(numbers, handlers, strict=True):
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
    gc.set_threshold(*thresholds)
    if collects:
        gc.enable()
    if structlog.is_configured():
        _forget_logging()


@pytest.fixture(autouse=True)
def no_task_failed() -> Iterator[None]:
    """Fail a test in which a task failed that would have ended the node."""
    yield
    failed = [*FAILED]
    FAILED.clear()
    assert not failed, failed


def _forget_logging() -> None:
    """Undo a command's logging, also what loggers have kept of it: else later tests miss lines."""
    structlog.reset_defaults()
    for name, module in list(sys.modules.items()):
        if name.startswith("greenroom."):
            kept = getattr(getattr(module, "log", None), "__dict__", {})
            kept.pop("bind", None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot be as asked; begin with what takes longest, in a worker of several."""
    for item in items:
        asked_for = (over_tls, alone)
        reasons = filter(None, (each.reason_to_leave_out(item.nodeid) for each in asked_for))
        for reason in reasons:
            item.add_marker(pytest.mark.skip(reason=reason))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: place_of(item.nodeid))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Search what is collected for no garbage: it is millions of objects, and stays."""
    gc.disable()
    result = yield
    gc.freeze()
    gc.enable()
    return result


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> UnitScheduling | None:
    """Keep together what `--dist loadfile` does, and a little more."""
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return UnitScheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was measured."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties if report.when == "call" else ():
            terminalreporter.write_line(f"{name}: {value}")
