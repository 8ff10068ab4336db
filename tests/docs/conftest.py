"""What the pages are run with: Greenroom installed from its wheel, and indexes of packages."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.packages import NODE_MODULES, NpmRegistry
from tests.running.wheels import wheels

HIDDEN = ("AWS_", "COV_", "GREENROOM_", "PIP_", "PYTHON", "UV_", "npm_", "VIRTUAL_ENV")
CLIENTS = ("boto3", "pytest-asyncio", "websockets")
"""What readers are told to install beside Greenroom."""


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Give the environment of a reader who has Python, Node.js and the AWS CLI.

    `pip install greenroom` is done, from the wheel that was just built.
    """
    root = tmp_path_factory.mktemp("machine")
    (root / "wheels").mkdir()
    wheels(root / "wheels", "greenroom", *CLIENTS)
    registry = NpmRegistry()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
    environment = kept | {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "PATH": f"{root}/greenroom/bin:{kept['PATH']}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_FIND_LINKS": str(root / "wheels"),
        "PIP_NO_COMPILE": "1",
        "PIP_NO_INDEX": "1",
        "npm_config_cache": str(root / "npm"),
        "npm_config_registry": registry.url,
        "npm_config_update_notifier": "false",
    }
    subprocess.run([sys.executable, "-m", "venv", str(root / "greenroom")], check=True)
    programs = root / "greenroom" / "bin"
    command = [str(programs / "pip"), "install", "--quiet", "greenroom"]
    subprocess.run(command, env=environment, check=True)
    aws = shutil.which("aws", path=Path(sys.executable).parent) or pytest.fail("needs awscli")
    (programs / "aws").symlink_to(aws)
    yield environment
    registry.close()


@pytest.fixture(scope="session")
def javascript() -> None:
    """Skip without what the JavaScript clients are made from; in CI fail."""
    if not NODE_MODULES.exists() or shutil.which("npm") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("needs tests/interop/node_modules: scripts/peers installs it")
        pytest.skip("needs tests/interop/node_modules: scripts/peers installs it")
