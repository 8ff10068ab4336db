"""How-tos of a cluster: one is followed by its commands, the words of another are the service's."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.servers.ports import free_port
from tests.running.pages import blocks
from tests.running.service import STARTUP_SECONDS, environment

ROOT = Path(__file__).parents[2]
HOWTO = ROOT / "docs" / "howto"


@contextmanager
def terminal(block: str, place: Path, until: Path, **variables: str) -> Iterator[None]:
    """Run a block in a terminal of its own until something is there; end it with Ctrl-C."""
    running = subprocess.Popen(
        ["bash", "-c", f"exec {block.strip()}"], cwd=place, env=environment(**variables)
    )
    try:
        deadline = time.monotonic() + 3 * STARTUP_SECONDS
        while not until.exists():
            assert running.poll() is None, block
            assert time.monotonic() < deadline, block
            time.sleep(0.05)
        yield
        running.send_signal(signal.SIGINT)
        assert running.wait(STARTUP_SECONDS) == 0
    finally:
        running.kill()
        running.wait()


@pytest.mark.timeout(180)
def test_from_one_node_to_three(tmp_path: Path) -> None:
    """A reader who follows the page has three nodes with what the one had, and loses one."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    programs = Path(sys.executable).parent
    shared = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    alone, first, servers, *nodes, back = map(
        _of_this_test, blocks(HOWTO / "from-one-node-to-three.md")
    )
    with terminal(alone, tmp_path, tmp_path / "one" / "address.json", **shared):
        subprocess.run(["bash", "-ec", first], cwd=tmp_path, env=environment(**shared), check=True)
    with terminal(servers, tmp_path, tmp_path / "servers.env", **shared):
        ended = subprocess.run(
            ["bash", "-ec", "\n".join([*nodes, back.rstrip() + " --port 0 &", _SERVED_AGAIN])],
            cwd=tmp_path,
            env=environment(**shared),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout
    assert "read back and equal" in ended.stdout
    assert re.search(r"^stage\b", ended.stdout, re.MULTILINE), ended.stdout
    assert re.search(r"^again stage\b", ended.stdout, re.MULTILINE), ended.stdout


_SERVED_AGAIN = """
until greenroom rooms --data-dir back > again 2> /dev/null; do sleep 0.2; done
kill %%; wait
sed 's/^/again /' again
"""

_PORTS = {str(port): str(free_port()) for port in (8471, 8472, 8473)}


def _of_this_test(block: str) -> str:
    """Return a block with the programs of this checkout, and with ports that are free."""
    block = re.sub(r'make serve ARGS="(.*)"', r"greenroom serve --port 0 \1", block)
    block = re.sub(r'make cluster ARGS="(.*)"', r"python -m scripts.servers.cluster \1", block)
    block = re.sub(r"^export PATH=.*\n", "", block, flags=re.MULTILINE)
    return re.sub(r"\b847[123]\b", lambda port: _PORTS[port[0]], block)


def test_what_is_seen_when_a_disk_is_full() -> None:
    """The lines of the log, the alerts and the parts of the health are the service's own."""
    page = (HOWTO / "when-a-disk-is-full.md").read_text()
    rows = dict(re.findall(r"^\| ([\w/` ]+?) \| (.*) \|$", page, re.MULTILINE))
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    alerts = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
    theirs = {"No space left on device", "reason"}
    for told in re.findall(r"`(.*?)`", rows["log of the nodes"]):
        assert told in theirs or f'"{told}"' in source, told
    for alert in re.findall(r"`(.*?)`", rows["alert"]):
        assert f"alert: {alert}\n" in alerts, alert
    assert set(re.findall(r"`(.*?)`", rows["`/health/ready`"])) == {"store", "bus"}
