"""The fixtures, as somebody's own project uses them: in a pytest of its own.

Covers: greenroom.testing.plugin, greenroom.testing.fixtures, greenroom.testing.people,
    greenroom.testing.service, greenroom.testing.calls
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running.service import environment

CASES = Path(__file__).parent / "cases"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project of somebody who tests with asyncio."""
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        "filterwarnings = error\ntimeout = 60\n"
    )
    return tmp_path


def run(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the project's tests."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env=environment(AWS_PROFILE="of-somebody", AWS_SESSION_TOKEN="of-somebody"),
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def test_fixtures_do_what_they_say(project: Path) -> None:
    """Each test of a user passes, in two workers of xdist, which share no service."""
    cases = Path(shutil.copy(CASES / "users.py", project / "test_users.py"))
    ended = run(project, "-n", "2", "-q", "--durations=5")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    tests = len(re.findall(r"^(?:async )?def test_", cases.read_text(), re.MULTILINE))
    assert f"{tests + 2} passed" in ended.stdout


FAILURES = (
    r"alice did not see 'hello' within 0\.1 s\nE +alice saw:\nE +\d\.\d+ s  bob: hi\n",
    r"alice was to see nothing\nE +alice saw:\n(E +\d.*\n)?E +\d\.\d+ s  bob: hi\n",
    r"carol was not disconnected within 0\.01 s\n",
    r"dave did not see the event GOAL within 0 s\n",
)
"""What is said, in the order of the tests."""


def test_failures_say_what_was_seen(project: Path) -> None:
    """A test that fails shows what its people saw, and nothing of how it was found out."""
    shutil.copy(CASES / "failing.py", project / "test_failing.py")
    ended = run(project, "-n", "0")
    assert "4 failed" in ended.stdout, ended.stdout + ended.stderr
    for failure in FAILURES:
        assert re.search(f"AssertionError: {failure}", ended.stdout), ended.stdout
    assert "wait_for" not in ended.stdout


def test_settings_of_the_service(project: Path) -> None:
    """Settings stand in pytest's configuration; a wrong one says so, and no test hangs."""
    (project / "test_it.py").write_text(
        "def test_full(ivschat, chat_room):\n"
        "    import botocore.exceptions, pytest\n"
        "    with pytest.raises(botocore.exceptions.ClientError, match='ServiceQuota'):\n"
        "        ivschat.create_room()\n"
    )
    given = project / "pytest.ini"
    given.write_text("[pytest]\ngreenroom_settings =\n    quotas = rooms=1\n")
    assert run(project, "-n", "0").returncode == 0
    given.write_text("[pytest]\ngreenroom_settings = regoins=*\n")
    ended = run(project, "-n", "0")
    assert ended.returncode == 1
    assert "Error: unknown setting --regoins: did you mean regions?" in ended.stdout
    given.write_text("[pytest]\ngreenroom_settings = regions\n")
    assert "'regions' is not NAME=VALUE" in run(project, "-n", "0").stdout


def test_who_asks_for_nothing_gets_nothing(project: Path) -> None:
    """Nothing of Greenroom is imported for tests that use no fixture of it."""
    (project / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    loaded = {name for name in sys.modules if name.startswith('greenroom')}\n"
        "    assert loaded == {'greenroom', 'greenroom.testing', 'greenroom.testing.plugin'}\n"
    )
    ended = run(project, "-n", "0")
    assert ended.returncode == 0, ended.stdout
