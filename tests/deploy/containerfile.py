"""Does what a Containerfile says, step by step, in directories in the place of images.

What it cannot do it refuses, so that nothing of the file goes untried. A base image is a stand-in.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from tests.deploy import base_image

HERE = Path(__file__).parent
BASE = re.compile(r"docker\.io/library/python:3\.\d+-slim-\w+")
STEP_SECONDS = 100


class Step(msgspec.Struct, frozen=True):
    """One instruction."""

    word: str
    text: str


def steps(text: str) -> Iterator[Step]:
    """Yield the instructions of a Containerfile, comments aside and with its arguments put in."""
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    arguments: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
            continue
        for name, value in arguments.items():
            rest = rest.replace(f"${{{name}}}", value)
        yield Step(word, rest.strip())


class Image:
    """A stage under way, and what the last one says of how it is run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/root"}
        self.directory = "/"
        self.user = (0, 0)
        self.volumes: list[str] = []
        self.said: dict[str, str] = {}

    def command(
        self,
        words: Sequence[str],
        *,
        volumes: Mapping[str, Path] | None = None,
        tmpfs: Sequence[str] = (),
        read_only: bool = False,
        seccomp: object = None,
        environment: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Return the command that runs words in the image as its user, with process id 1."""
        asked = {
            "root": str(self.root),
            "command": list(words),
            "directory": self.directory,
            "user": self.user,
            "environment": {**self.environment, **(environment or {})},
            "volumes": {place: str(source) for place, source in (volumes or {}).items()},
            "tmpfs": list(tmpfs),
            "read_only": read_only,
            "seccomp": seccomp,
        }
        unshare = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork"]
        program = [sys.executable, str(HERE / "in_root.py"), json.dumps(asked)]
        return [*unshare, "--kill-child", *program]

    @property
    def entrypoint(self) -> list[str]:
        """What is run without further words."""
        return [*json.loads(self.said["ENTRYPOINT"]), *json.loads(self.said["CMD"])]

    @property
    def health_check(self) -> list[str]:
        """What says whether it is well."""
        words: list[str] = json.loads(self.said["HEALTHCHECK"].partition(" CMD ")[2])
        return words


class Build:
    """The stages of a file, built from a context below a directory."""

    def __init__(self, context: Path, place: Path, settings: Mapping[str, str]) -> None:
        """Take the settings that pip is to have beside the file's: where its packages are."""
        self._context = context
        self._place = place
        self._settings = settings
        self._stages: dict[str, Image] = {}
        self._doers = {
            "FROM": self._from,
            "COPY": self._copy,
            "RUN": self._run,
            "ENV": self._env,
            "WORKDIR": self._workdir,
            "USER": self._user,
            "VOLUME": self._volume,
        }
        self.image: Image

    def do(self, step: Step) -> None:
        """Do one step; KeyError and ValueError say what cannot be done."""
        if step.word in ("EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"):
            self.image.said[step.word] = step.text
        else:
            self._doers[step.word](step.text)

    def _from(self, text: str) -> None:
        name, _, stage = text.partition(" AS ")
        if not BASE.fullmatch(name):
            raise ValueError(f"there is no stand-in for {name}")
        base, root = self._place / "base", self._place / (stage or "image")
        if not base.exists():
            base_image.lay_out(base)
        # Linked: no step writes into a file of the base image.
        shutil.copytree(base, root, symlinks=True, copy_function=os.link)
        self.image = self._stages[stage] = Image(root)

    def _copy(self, text: str) -> None:
        *sources, target = shlex.split(text)
        source_root = self._context
        if sources[0].startswith("--from="):
            source_root = self._stages[sources.pop(0).removeprefix("--from=")].root
        to = self._inside(target)
        for source in sources:
            found = source_root / source.lstrip("/")
            if found.is_dir():
                shutil.copytree(found, to, symlinks=True, dirs_exist_ok=True)
            else:
                goal = to / found.name if target.endswith("/") else to
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, goal)

    def _inside(self, path: str) -> Path:
        absolute = Path(self.image.directory, path)
        return self.image.root / str(absolute).lstrip("/")

    def _run(self, text: str) -> None:
        command = self.image.command(["/bin/sh", "-c", text], environment=self._settings)
        ended = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )
        if ended.returncode:
            raise ValueError(f"RUN {text}\nends with {ended.returncode}:\n{ended.stdout}")

    def _env(self, text: str) -> None:
        for each in shlex.split(text):
            name, _, value = each.partition("=")
            self.image.environment[name] = value

    def _workdir(self, text: str) -> None:
        self.image.directory = text
        (self.image.root / text.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _user(self, text: str) -> None:
        user, _, group = text.partition(":")
        self.image.user = (int(user), int(group))

    def _volume(self, text: str) -> None:
        self.image.volumes += shlex.split(text)


def allowed(path: str, ignored: str) -> bool:
    """Return whether a file that ignores all but some paths lets the build see one."""
    lines = [line for line in ignored.splitlines() if line and not line.startswith("#")]
    return lines[0] == "*" and any(
        line.startswith("!") and (path == line[1:] or path.startswith(f"{line[1:]}/"))
        for line in lines
    )
