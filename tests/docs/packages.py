"""Packages without a network: the wheel of this checkout, and what the tests have installed."""

import base64
import hashlib
import importlib.metadata
import io
import json
import subprocess
import sys
import tarfile
import threading
import urllib.parse
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
NODE_MODULES = ROOT / "tests" / "interop" / "node_modules"
LEFT_BY_PIP = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"}


def wheels(folder: Path, *names: str) -> None:
    """Write wheels of the packages and of what they need; Greenroom's is built."""
    for name in _closure(names):
        if name != "greenroom":
            _pack(importlib.metadata.distribution(name), folder)
    build = "import hatchling.build, sys; hatchling.build.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=ROOT, check=True)


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


def _pack(package: importlib.metadata.Distribution, folder: Path) -> None:
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
            content = path.read_binary()
            target = f"{info}/{path.name}" if own else str(path)
            wheel.writestr(target, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            record.write(f"{target},sha256={digest.decode()},{len(content)}\n")
        wheel.writestr(f"{info}/RECORD", f"{record.getvalue()}{info}/RECORD,,\n")


class NpmRegistry:
    """Answers npm with the JavaScript packages that the interop tests have installed."""

    def __init__(self) -> None:
        self._packages: dict[str, dict[str, Path]] = {}
        for path in NODE_MODULES.rglob("package.json"):
            if "node_modules" in (path.parents[1].name, path.parents[2].name):
                told = json.loads(path.read_text("utf-8"))
                if "name" in told and "version" in told:
                    self._packages.setdefault(told["name"], {})[told["version"]] = path.parent
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str) -> bytes | None:
        """Return a package's versions, or one version's archive; None where there is neither."""
        name, _, version = urllib.parse.unquote(path.strip("/")).partition("/-/")
        if (versions := self._packages.get(name)) is None:
            return None
        if version:
            return _archive(versions[version])
        told = {each: self._manifest(name, each, path) for each, path in versions.items()}
        newest = max(told, key=lambda each: [int(part) for part in each.split("-")[0].split(".")])
        answer = {"name": name, "dist-tags": {"latest": newest}, "versions": told}
        return json.dumps(answer).encode()

    def _manifest(self, name: str, version: str, path: Path) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((path / "package.json").read_text("utf-8"))
        digest = base64.b64encode(hashlib.sha512(_archive(path)).digest()).decode()
        url = f"{self.url}{name}/-/{version}"
        return {**told, "dist": {"tarball": url, "integrity": f"sha512-{digest}"}}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = registry.answer(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *args: object) -> None:
                pass

        return Handler


def _archive(path: Path) -> bytes:
    """Return a package as npm packs it, without the packages below it; the same each time."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for each in sorted(_files(path)):
            archive.add(each, f"package/{each.relative_to(path)}", recursive=False)
    return output.getvalue()


def _files(path: Path) -> Iterator[Path]:
    for each in path.iterdir():
        if each.is_file():
            yield each
        elif each.is_dir() and each.name != "node_modules":
            yield from _files(each)
