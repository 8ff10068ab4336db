"""The wheel and the sdist: complete, the same whoever builds them, and they run on each Python."""

import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import greenroom
from tests.running.service import environment, until_ready

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ROOT / "build" / "pythons"
FOREIGN = ROOT / "tests" / "interop" / "node_modules"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
OWN = f"3.{sys.version_info.minor}"

BUILD = "import hatchling.build as b, sys; b.build_wheel(sys.argv[1]); b.build_sdist(sys.argv[1])"
CHAT = """
import asyncio, json, sys
from greenroom.client import ChatRoom, Ivschat, SendMessageRequest

async def main(ready):
    async with Ivschat(
        endpoint=ready["api_url"], region=ready["region"],
        access_key_id=ready["access_key_id"], secret_access_key=ready["secret_access_key"],
    ) as ivschat:
        room = await ivschat.create_room(name="lobby")
        async def token():
            return await ivschat.create_chat_token(
                room_identifier=room.arn, user_id="alice", capabilities=["SEND_MESSAGE"])
        async with ChatRoom(ready["websocket_url"], token) as chat:
            print((await chat.send_message(SendMessageRequest("hello"))).content)

asyncio.run(main(json.load(open(sys.argv[1]))))
"""


def tracked() -> list[str]:
    """Return what belongs to the project, whether it is committed yet or not."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs a checkout with git")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def build(source: Path, into: Path, mask: int, zone: str) -> dict[str, bytes]:
    """Return the packages by their names."""
    into.mkdir()
    command = [sys.executable, "-c", BUILD, str(into)]
    variables = {**os.environ, "TZ": zone}
    subprocess.run(
        command, cwd=source, env=variables, umask=mask, check=True, stdout=subprocess.DEVNULL
    )
    return {path.name: path.read_bytes() for path in into.iterdir()}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with both, as built from this checkout."""
    folder = tmp_path_factory.mktemp("packages") / "here"
    build(ROOT, folder, 0o022, "UTC")
    return folder


@pytest.fixture
def wheel(packages: Path) -> Path:
    """Return the wheel."""
    return packages / f"greenroom-{greenroom.__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def unpacked(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the unpacked sdist, without what its build has added."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(next(packages.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    (unpacked / "PKG-INFO").unlink()
    return unpacked


def test_the_sdist_has_all_that_is_tracked(unpacked: Path) -> None:
    """Who has it can do what the README says: nothing is missing, nothing was left lying about."""
    found = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert found == set(tracked())


def test_builds_are_the_same(packages: Path, unpacked: Path, tmp_path: Path) -> None:
    """From the sdist, without git, with another umask and zone: not a byte differs."""
    there = build(unpacked, tmp_path / "there", 0o077, "Asia/Tokyo")
    assert there == {path.name: path.read_bytes() for path in packages.iterdir()}


def test_nobody_elses_work_is_in_them(wheel: Path, unpacked: Path) -> None:
    """Amazon's SDK and axe-core, which npm installs for tests and examples, are in no package."""
    foreign = [FOREIGN / "axe-core" / "axe.min.js"]
    foreign += sorted((FOREIGN / "amazon-ivs-chat-messaging").rglob("*.js"))
    if not all(path.exists() for path in foreign) or len(foreign) < 2:
        pytest.skip("needs tests/interop/node_modules: scripts/peers installs it")
    marks = {mark for path in foreign for mark in samples(path.read_bytes())}
    files = [path.read_bytes() for path in unpacked.rglob("*") if path.is_file()]
    with zipfile.ZipFile(wheel) as archive:
        files += [archive.read(name) for name in archive.namelist()]
    assert not [mark for mark in marks for file in files if mark in file]


def samples(text: bytes) -> Iterator[bytes]:
    """Yield some pieces of a file, long enough to be nobody else's."""
    chance = random.Random(len(text))
    for _ in range(5):
        start = chance.randrange(max(1, len(text) - 80))
        if len(piece := text[start : start + 80]) == 80:
            yield piece


@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_runs(version: str, wheel: Path, tmp_path: Path) -> None:
    """In an environment with what it asks for and nothing else it serves, and its client chats."""
    python = installed(version, wheel)
    variables = environment(PYTHONPATH="", PYTHONPYCACHEPREFIX=str(PYTHONS / version / "compiled"))

    def run(*words: str) -> str:
        ended = subprocess.run(
            [python, *words],
            env=variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    assert run("-m", "greenroom", "--version") == f"greenroom {greenroom.__version__}\n"
    # Compiled before somebody waits: a start has its time limit.
    assert run("-c", "import greenroom.server.serve, greenroom.client.chat_room") == ""
    ready, log = tmp_path / "ready.json", tmp_path / "log"
    serve = [str(python.with_name("greenroom")), "serve", "--port", "0", "--storage", "memory"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*serve, "--ready-file", str(ready)],
            env=variables,
            cwd=tmp_path,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            until_ready(process, ready, log)
            assert run("-c", CHAT, str(ready)) == "hello\n"
        finally:
            process.terminate()
    assert process.returncode == 0
    assert "Warning" not in log.read_text()


def installed(version: str, wheel: Path) -> Path:
    """Return the Python of an environment with the wheel; skip without, but for our own version."""
    python = PYTHONS / version / "bin" / "python"
    if not python.exists():
        reason = f"no Python {version} was found: scripts/pythons looks for it"
        if version == OWN and os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    site = next((PYTHONS / version / "lib").glob("python*/site-packages"))
    for before in site.glob("greenroom*"):
        shutil.rmtree(before)
    # An environment that uv has made has no pip of its own.
    pips = (ROOT / ".venv/uv/bin/python", Path(sys.executable))
    having = next(each for each in pips if each.exists())
    pip = [str(having), "-m", "pip", "--python", str(python), "install", "--quiet"]
    options = ["--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check"]
    subprocess.run([*pip, *options, str(wheel)], check=True, capture_output=True)
    return python


def test_the_metadata_is_whole(wheel: Path) -> None:
    """What an index shows: licence, Pythons and extras; the description is the README."""
    with zipfile.ZipFile(wheel) as archive:
        info = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(info).decode()
    head, _, description = text.partition("\n\n")
    lines = head.splitlines()
    for wanted in (
        "License-Expression: Apache-2.0",
        "Requires-Python: >=3.11",
        "Provides-Extra: cluster",
        "Provides-Extra: test",
        "Description-Content-Type: text/markdown",
        *(f"Classifier: Programming Language :: Python :: {version}" for version in VERSIONS),
    ):
        assert wanted in lines
    assert description.strip() == (ROOT / "README.md").read_text().strip()
    assert json.dumps(lines).count("Requires-Dist") > 8
