"""One page of the documentation, done as it is written by a reader in a fresh directory."""

import ast
import json
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from tests.docs.blocks import COMMANDS, ROOT, Block, Note
from tests.docs.terminal import Failed, Lasting, Terminal, agrees

CHECKOUT = ("Makefile", "deploy", "examples", "pyproject.toml", "requirements", "scripts", "src")
READY = "Greenroom is ready"
PORT = "8470"


class Page:
    """The directory and the terminals of a reader; port 8470 is a free one instead."""

    def __init__(self, root: Path, machine: Mapping[str, str], port: int) -> None:
        self.directory, self._notes, self._port = root / "here", root / "notes", port
        self._notes.mkdir()
        self.directory.mkdir()
        home = root / "home"
        home.mkdir()
        self._environment = {**machine, "GREENROOM_PORT": str(port), "HOME": str(home)}
        self._terminal = Terminal(self.directory, self._environment, self._notes)
        self._lasting: list[Lasting] = []
        self._service: Lasting | None = None
        self._python: list[str] = []

    def is_a_checkout(self) -> None:
        """Let the directory be a checkout in which `scripts/install` has nothing left to do."""
        for name in CHECKOUT:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self.directory / name)
        (self.directory / "scripts" / "install").write_text("#!/bin/sh\n")
        pip = shutil.which("pip", path=self._environment["PATH"])
        assert pip is not None
        (self.directory / ".venv").symlink_to(Path(pip).parents[1])
        for path in (self.directory / "examples").rglob("*.*"):
            path.write_text(self._here(path.read_text()))

    def serve(self) -> None:
        """Start a service, which how-tos take for granted."""
        self._last("greenroom serve", "")

    def do(self, step: Block | Note) -> None:
        """Do what a block says.

        Raises:
            Failed: it does not work, or prints something else than the page shows.
        """
        if isinstance(step, Note):
            self._heed(step)
        elif step.wish == "not run":
            return
        elif step.argument.startswith("as "):
            name = step.argument.removeprefix("as ").replace("~", self._environment["HOME"])
            path = self.directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{self._here(step.text)}\n")
        elif step.argument.startswith("stays"):
            self._last(self._script(step), " ".join(shlex.split(step.argument)[1:]))
        elif step.kind in COMMANDS:
            self._run(step)
        elif step.wish == "run":
            self._python.append(self._here(step.text))
            (self._notes / "so_far.py").write_text("\n".join(self._python))
            self._terminal.run(f"try/bin/python '{self._notes / 'so_far.py'}'")
        else:
            self._read(step)

    def close(self) -> None:
        """End everything that the page has started."""
        for each in (*self._lasting, *([self._service] if self._service else ())):
            each.stop()
        self._terminal.close()

    def _here(self, text: str) -> str:
        return text.replace(f":{PORT}", f":{self._port}")

    def _script(self, block: Block) -> str:
        return self._here("\n".join(command for command, _ in block.commands))

    def _run(self, block: Block) -> None:
        for command, shown in block.commands:
            printed = self._terminal.run(self._here(command)).splitlines()
            if not shown:
                continue
            if len(shown) != len(printed) or not all(map(agrees, map(self._here, shown), printed)):
                raise Failed("\n".join([f"$ {command}", *printed, "instead of", *shown]))

    def _last(self, script: str, until: str) -> None:
        """Run a script in another terminal; a service takes the place of the one before."""
        serves = " serve" in script
        if serves and self._service:
            self._service.stop()
            self._service = None
        printed = self._notes / f"terminal-{len(list(self._notes.iterdir()))}.out"
        started = Lasting(script, self.directory, self._environment, printed)
        if serves:
            self._service = started
        else:
            self._lasting.append(started)
        started.shows(until or READY)

    def _heed(self, note: Note) -> None:
        if not note.is_shown:
            self._terminal.run(self._here(note.text))
        elif self._lasting:
            self._lasting[-1].shows(note.text)
        else:
            raise Failed("nothing runs that could show it")

    def _read(self, block: Block) -> None:
        """Check the form of what is not executed; settings must be settings."""
        try:
            if block.kind == "python":
                ast.parse(block.text)
            elif block.kind == "js":
                self._is_javascript(block.text)
            elif block.kind == "json":
                _read_json(block.text)
            elif block.kind == "yaml":
                yaml.safe_load(block.text)
            elif block.kind == "toml":
                self._know_settings(block.text)
        except (SyntaxError, ValueError, yaml.YAMLError) as error:
            raise Failed(str(error)) from error

    def _is_javascript(self, text: str) -> None:
        path = self._notes / "module.mjs"
        path.write_text(text)
        read = subprocess.run(
            ["node", "--check", str(path)], capture_output=True, text=True, check=False
        )
        if read.returncode:
            raise Failed(read.stderr)

    def _know_settings(self, text: str) -> None:
        path = self._notes / "settings.toml"
        path.write_text(text)
        known = subprocess.run(
            ["greenroom", "config", "--config", str(path)],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if known.returncode:
            raise Failed(known.stderr)


def _read_json(text: str) -> None:
    """Read one value after the other, as log files and examples of frames have them."""
    rest = text.strip()
    while rest:
        _, end = json.JSONDecoder().raw_decode(rest)
        rest = rest[end:].lstrip()
