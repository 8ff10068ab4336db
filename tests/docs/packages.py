"""A registry of npm's packages without a network: what the tests have installed."""

import base64
import functools
import hashlib
import io
import json
import tarfile
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NODE_MODULES = ROOT / "tests" / "interop" / "node_modules"


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


@functools.cache
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
