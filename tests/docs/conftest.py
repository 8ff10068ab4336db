"""What the pages are run with: Greenroom installed from its wheel, and indexes of packages."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.commands import copied
from tests.docs.packages import NODE_MODULES, NpmRegistry
from tests.running.made_once import made_once
from tests.running.wheels import wheels

HIDDEN = ("AWS_", "COV_", "GREENROOM_", "PIP_", "PYTHON", "UV_", "npm_", "VIRTUAL_ENV")
CLIENTS = ("boto3", "pytest-asyncio", "websockets")
"""What readers are told to install beside Greenroom."""

OFTEN = (
    "main",
    "operations.calling",
    "admin.command",
    "backup.command",
    "room.chat",
    "room.acting",
)
IMPORTED = {
    "greenroom": tuple(f"greenroom.cli.{each}" for each in OFTEN),
    "aws": ("awscli.clidriver", "awscli.handlers"),
}
"""What commands consist of that pages type often."""

ANEW = {
    "greenroom": ("botocore.loaders",),
    "aws": ("botocore.loaders", "awscli.customizations.assumerole"),
}
"""What is executed anew in each call: it decides by `HOME` where models and roles are."""

VENV = """#!/bin/sh
# `python3 -m venv NAME` as ever, but for the pip, which takes seconds to unpack: one is for all.
if [ "$#" != 3 ] || [ "$1 $2" != "-m venv" ]; then exec "{python}" "$@"; fi
set -e
"{python}" -m venv --without-pip "$3"
ln -s "{empty}"/lib/python*/site-packages/* "$3"/lib/python*/site-packages/
sed "1s|.*|#!$(realpath "$3")/bin/python|" "{empty}/bin/pip" > "$3/bin/pip"
chmod +x "$3/bin/pip"
"""


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Give the environment of a reader who has Python, Node.js and the AWS CLI.

    `pip install greenroom` is done, from the wheel that was just built, once for all workers.
    """
    with contextlib.ExitStack() as stack:
        root = made_once(tmp_path_factory, "machine", lambda root: _install(root, stack))
        registry = NpmRegistry()
        stack.callback(registry.close)
        yield _environment(root) | {
            "npm_config_cache": str(tmp_path_factory.mktemp("npm")),
            "npm_config_registry": registry.url,
            "npm_config_update_notifier": "false",
        }


def _environment(root: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
    return kept | {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "PATH": f"{root}/bin:{root}/greenroom/bin:{kept['PATH']}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_FIND_LINKS": str(root / "wheels"),
        "PIP_NO_COMPILE": "1",
        "PIP_NO_INDEX": "1",
    }


def _install(root: Path, until_the_end: contextlib.ExitStack) -> None:
    for name in ("bin", "wheels"):
        (root / name).mkdir()
    wheels(root / "wheels", "greenroom", *CLIENTS)
    installed = root / "greenroom"
    subprocess.run([sys.executable, "-m", "venv", str(installed)], check=True)
    shutil.copytree(installed, root / "empty", symlinks=True)
    python = root / "bin" / "python3"
    python.write_text(VENV.format(python=installed / "bin" / "python3", empty=root / "empty"))
    python.chmod(0o755)
    command = [str(installed / "bin" / "pip"), "install", "--quiet", "greenroom"]
    subprocess.run(command, env=_environment(root), check=True)
    aws = shutil.which("aws", path=Path(sys.executable).parent) or pytest.fail("needs awscli")
    (installed / "bin" / "aws").symlink_to(aws)
    for name, program in (("greenroom", installed / "bin" / "greenroom"), ("aws", Path(aws))):
        copies = copied(
            root / "bin" / name, program, IMPORTED[name], _environment(root), ANEW[name]
        )
        until_the_end.enter_context(copies)


@pytest.fixture(scope="session")
def javascript() -> None:
    """Skip without what the JavaScript clients are made from; in CI fail."""
    if not NODE_MODULES.exists() or shutil.which("npm") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("needs tests/interop/node_modules: scripts/peers installs it")
        pytest.skip("needs tests/interop/node_modules: scripts/peers installs it")
