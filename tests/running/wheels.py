"""Wheels without a network: that of this checkout, and of what the tests have installed."""

import base64
import hashlib
import importlib.metadata
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
OTHER_SERVICES = r"botocore/data/(?!ivschat|iam|sts)\w[^/]*/"
"""Models of AWS's services that nobody asks for: thousands of files."""

LEFT_BY_PIP = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"}


def wheels(folder: Path, *names: str) -> None:
    """Write wheels of the packages and of what they need; Greenroom's is built."""
    pack(folder, *_closure(names) - {"greenroom"}, without=OTHER_SERVICES)
    build = "import hatchling.build, sys; hatchling.build.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=ROOT, check=True)


def pack(folder: Path, *names: str, without: str = "$.") -> None:
    """Write wheels of installed packages, but for the files whose path a pattern matches."""
    for name in names:
        _pack(importlib.metadata.distribution(name), folder, re.compile(without))


def names_in(lock: Path) -> list[str]:
    """Return the packages that a lock file has for this machine."""
    lines = [line for line in lock.read_text().splitlines() if line[:1].isalnum()]
    wishes = [Requirement(line.removesuffix("\\").strip()) for line in lines]
    return [wish.name for wish in wishes if wish.marker is None or wish.marker.evaluate()]


def locked(folder: Path) -> str:
    """Return a lock file of the wheels in a folder."""
    lines = []
    for wheel in sorted(folder.glob("*.whl")):
        name, version, *_ = wheel.name.split("-")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{name}=={version} --hash=sha256:{digest}\n")
    return "".join(lines)


def _closure(names: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        if (name := canonicalize_name(waiting.pop())) in found:
            continue
        found.add(name)
        wishes = map(Requirement, importlib.metadata.requires(name) or ())
        waiting += [
            wish.name for wish in wishes if not wish.marker or wish.marker.evaluate({"extra": ""})
        ]
    return found


def _pack(package: importlib.metadata.Distribution, folder: Path, without: re.Pattern[str]) -> None:
    """Make an installed package a wheel again; programs other than entry points are left out."""
    # As it is spelled on the disk: metadata may spell it in another case.
    info = next(
        path.parent.name
        for path in package.files or ()
        if path.name == "METADATA" and path.parent.name.endswith(".dist-info")
    )
    tags = [line[5:] for line in (package.read_text("WHEEL") or "").splitlines() if "Tag: " in line]
    record = io.StringIO()
    with zipfile.ZipFile(
        folder / f"{info.removesuffix('.dist-info')}-{tags[-1]}.whl", "w"
    ) as wheel:
        for path in package.files or ():
            own = path.parent.name.endswith(".dist-info")
            if ".." in path.parts or path.suffix == ".pyc" or (own and path.name in LEFT_BY_PIP):
                continue
            if without.match(str(path)):
                continue
            content = path.read_binary()
            target = f"{info}/{path.name}" if own else str(path)
            wheel.writestr(target, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            record.write(f"{target},sha256={digest.decode()},{len(content)}\n")
        wheel.writestr(f"{info}/RECORD", f"{record.getvalue()}{info}/RECORD,,\n")
