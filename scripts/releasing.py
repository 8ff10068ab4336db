"""Make a release, up to its upload: `releasing.py VERSION`.

Everything that can be refused is looked at before the first change. What fails afterwards leaves
changes, a commit or a tag; the last line says which commands take them back. With `--dry-run` all
of it is done in a copy of the repository, and what came of it is put below `build`.
"""

import argparse
import datetime as dt
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
INIT = ROOT / "src" / "greenroom" / "__init__.py"
NAMING = {
    INIT: '__version__ = "{}"',
    ROOT / "deploy" / "kubernetes" / "overlays" / "production" / "kustomization.yaml": (
        'newTag: "{}"'
    ),
}
"""The files that name the version, and how."""

TOOLS = Path(sys.executable).parent
BUILD = "import hatchling.build as b, sys; b.build_sdist(sys.argv[1]); b.build_wheel(sys.argv[1])"
FORM = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")


class Refused(Exception):
    """The release cannot be made: the text says why."""


def main() -> None:
    """Make the release; end with one line where that cannot be."""
    parser = argparse.ArgumentParser(
        prog="scripts/release", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("version")
    parser.add_argument("--date", default=dt.datetime.now(dt.UTC).date().isoformat())
    parser.add_argument("--dry-run", action="store_true", help="do it all in a copy")
    given = parser.parse_args()
    try:
        _check(given.version)
        (_try if given.dry_run else _make)(given.version, given.date)
    except Refused as refused:
        sys.exit(f"scripts/release: {refused}")


def _make(version: str, date: str) -> None:
    before = _run("git", "rev-parse", "HEAD")
    try:
        _say(f"{version}: version, changelog, commit and tag")
        _commit(version, date)
        _say("building twice")
        _build()
        _say("checking what was built")
        _look_at_packages()
        _say("listing what it is made of")
        _list_parts(version)
    except Refused as refused:
        raise Refused(f"{refused}\n{_undoing(version, before)} takes the release back") from None
    names = " ".join(sorted(f"dist/{path.name}" for path in DIST.iterdir()))
    _say(f"made {names}\nleft to do:\n  git push --follow-tags")
    _say("  scripts/install release && .venv/release/bin/twine upload dist/*.whl dist/*.tar.gz")


def _undoing(version: str, before: str) -> str:
    """Return the commands after which all is as it was: there were no changes before."""
    tagged = bool(_run("git", "tag", "--list", f"v{version}"))
    return f"{f'git tag -d v{version} && ' if tagged else ''}git reset --hard {before[:12]}"


def _try(version: str, date: str) -> None:
    """Make the release of a copy of what is committed, and keep what would be looked at."""
    found = ROOT / "build" / f"release-{version}"
    with tempfile.TemporaryDirectory(prefix="greenroom-release-") as name:
        copy = Path(name) / "greenroom"
        _run("git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(copy))
        for setting in ("user.name", "user.email", "user.signingkey", "gpg.format"):
            if value := _setting(setting):
                _run("git", "config", setting, value, place=copy)
        words = [str(copy / "scripts" / "release"), version, "--date", date]
        ended = subprocess.run(words, cwd=copy, env=_environment(), check=False)
        if ended.returncode:
            raise Refused("the release would fail; nothing was changed here")
        shutil.rmtree(found, ignore_errors=True)
        shutil.copytree(copy / "dist", found)
        shutil.copy(copy / "CHANGELOG.md", found)
    _say(f"a dry run: nothing was changed here; build/{found.name} has packages and CHANGELOG.md")


def _environment() -> dict[str, str]:
    """Return what a copy is run with: it finds its own modules, not those of this checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


# ---------------------------------------------------------------------------------- before it


def _check(version: str) -> None:
    if FORM.fullmatch(version) is None:
        raise Refused(f"{version} is no version: 0.2.0, or 0.2.0rc1 before it")
    before = _version()
    if Version(version) <= Version(before):
        raise Refused(f"{version} is not above {before}, which the source says")
    if _run("git", "status", "--porcelain"):
        raise Refused("there are changes that are not committed: commit them first")
    if _run("git", "tag", "--list", f"v{version}"):
        raise Refused(f"the tag v{version} is there")
    if not list((ROOT / "changelog.d").glob("*.*.md")):
        raise Refused("changelog.d has nothing to tell")


def _version() -> str:
    return re.findall(r'^__version__ = "(.+)"$', INIT.read_text(), re.MULTILINE)[0]


# -------------------------------------------------------------------------------- commit, tag


def _commit(version: str, date: str) -> None:
    before = _version()
    for file, form in NAMING.items():
        file.write_text(file.read_text().replace(form.format(before), form.format(version)))
    _run(str(TOOLS / "towncrier"), "build", "--yes", "--version", version, "--date", date)
    _run("git", "add", "--all", "CHANGELOG.md", "changelog.d", *map(str, NAMING))
    _run("git", "commit", "--quiet", "--message", f"Release {version}")
    sign = "--sign" if _setting("user.signingkey") else "--annotate"
    _run("git", "tag", sign, "--message", f"Greenroom {version}", f"v{version}")
    if sign == "--annotate":
        _say("the tag is not signed: git has no user.signingkey")


# ------------------------------------------------------------------------------- what is built


def _build() -> None:
    """Build what is committed, in two places, umasks and zones; it must come out the same."""
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="greenroom-release-") as name:
        first = _built(Path(name) / "first", 0o022, "UTC")
        second = _built(Path(name) / "second", 0o077, "Asia/Tokyo")
        if _digests(first) != _digests(second):
            raise Refused(f"two builds differ: {_digests(first)} and {_digests(second)}")
        shutil.copytree(first, DIST)


def _built(place: Path, mask: int, zone: str) -> Path:
    source, dist = place / "source", place / "dist"
    source.mkdir(parents=True)
    dist.mkdir()
    archive = place / "source.tar"
    _run("git", "archive", "--output", str(archive), "HEAD")
    _run("tar", "--extract", "--file", str(archive), "--directory", str(source))
    words = [sys.executable, "-c", BUILD, str(dist)]
    _run(*words, place=source, mask=mask, variables={"TZ": zone})
    return dist


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


def _look_at_packages() -> None:
    """See that an index takes them, and that they run where nothing else is installed.

    The documentation is built, too: the new changelog is a page of it.
    """
    _run("scripts/install", "release")
    packages = [str(path) for path in sorted(DIST.iterdir())]
    _run(str(ROOT / ".venv/release/bin/twine"), "check", "--strict", *packages)
    _run("scripts/pythons")
    _run(sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/test_packages.py")
    _run("scripts/docs")


def _list_parts(version: str) -> None:
    """Write the list of parts and the digests; sign those where there is a key."""
    _run("scripts/audit")
    shutil.copy(ROOT / "build" / "sbom.json", DIST / f"greenroom-{version}.cdx.json")
    digests = "".join(f"{digest}  {name}\n" for name, digest in _digests(DIST).items())
    sums = DIST / "SHA256SUMS"
    sums.write_text(digests)
    key = _setting("user.signingkey")
    if key and _setting("gpg.format") in ("", "openpgp"):
        _run("gpg", "--batch", "--yes", "--local-user", key, "--armor", "--detach-sign", str(sums))


# ------------------------------------------------------------------------------------- running


def _run(
    *words: str,
    place: Path = ROOT,
    mask: int = -1,
    variables: Mapping[str, str] | None = None,
) -> str:
    """Return what a program printed.

    Raises:
        Refused: it failed.
    """
    ended = subprocess.run(
        words,
        cwd=place,
        umask=mask,
        env={**os.environ, **(variables or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise Refused(f"{' '.join(words[:3])} failed:\n{ended.stdout.strip()}")
    return ended.stdout.strip()


def _setting(name: str) -> str:
    """Return a setting of git's, "" for none."""
    return _run("git", "config", "--default", "", name)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what is done is shown


if __name__ == "__main__":
    main()
