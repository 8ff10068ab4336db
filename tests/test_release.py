"""`scripts/release`: what it makes, what it refuses, and that nothing leaves the machine."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import greenroom

ROOT = Path(__file__).resolve().parent.parent
STUBS = {
    # A copy of the checkout has no tools of its own, and a link is no folder to git.
    "scripts/install": f'[ -e .venv ] || ln -s "{ROOT}/.venv" .; echo /.venv >> .git/info/exclude',
    "scripts/pythons": "",
    "scripts/docs": "",
    "scripts/audit": "mkdir -p build && echo '{}' > build/sbom.json",
}
"""What takes its time elsewhere, and is tested there."""

OVERLAY = Path("deploy/kubernetes/overlays/production/kustomization.yaml")


def test_what_names_the_version_names_this_one() -> None:
    """A release changes all of them; none is left behind."""
    assert f'newTag: "{greenroom.__version__}"' in (ROOT / OVERLAY).read_text()


def test_fragments_have_no_links() -> None:
    """They are read in the changelog and in the site, where a path is another one."""
    fragments = [*(ROOT / "changelog.d").glob("*.*.md"), ROOT / "CHANGELOG.md"]
    assert [path.name for path in fragments if "](" in path.read_text()] == []


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of its own with what is here."""
    if not (ROOT / ".venv" / "release" / "bin" / "twine").exists():
        if os.environ.get("CI") == "true":
            pytest.fail("needs twine: scripts/install release")
        pytest.skip("needs twine: scripts/install release")
    folder = tmp_path_factory.mktemp("release")
    for name in ("src", "scripts", "changelog.d", "deploy"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "NOTICE", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    # There is something to tell, also right behind a release.
    (folder / "changelog.d" / "+told.added.md").write_text("Something new.\n")
    for name, text in STUBS.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_packages.py").write_text("def test_nothing(): pass\n")
    (folder / ".venv").symlink_to(ROOT / ".venv")
    git(folder, "init", "--quiet")
    # A link is no folder to git, whose ignored name ends with a slash.
    (folder / ".git" / "info" / "exclude").write_text("/.venv\n")
    for name, value in (("user.name", "A tester"), ("user.email", "tester@example.com")):
        git(folder, "config", name, value)
    git(folder, "config", "user.signingkey", "")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Begin")
    return folder


def git(folder: Path, *words: str) -> str:
    """Return what git says."""
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def release(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    return subprocess.run(
        [sys.executable, str(folder / "scripts" / "releasing.py"), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_refused(checkout: Path) -> None:
    """A version that is none or not above, changes that nobody committed: nothing is changed."""
    for version, words in (("2", "is no version"), ("0.0.9", "is not above")):
        ended = release(checkout, version)
        assert (ended.returncode, words in ended.stderr) == (1, True)
    left = checkout / "left"
    left.touch()
    assert "not committed" in release(checkout, "9.0.0").stderr
    left.unlink()
    assert git(checkout, "status", "--porcelain") == ""
    assert git(checkout, "tag", "--list") == ""


def test_what_has_failed_can_be_taken_back(checkout: Path) -> None:
    """The last line has the commands, whether the commit, the tag or a check failed."""
    began = git(checkout, "rev-parse", "HEAD")
    hook = checkout / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho not today; exit 1\n")
    hook.chmod(0o755)
    taken_back(checkout, began, "not today")
    hook.unlink()
    git(checkout, "config", "user.signingkey", "nobody's")
    taken_back(checkout, began, "failed")
    git(checkout, "config", "user.signingkey", "")
    pyproject = checkout / "pyproject.toml"
    text = pyproject.read_text()
    pyproject.write_text(text.replace('readme = "README.md"', 'readme = "NOTICE"'))
    git(checkout, "commit", "--quiet", "--all", "--message", "A readme that is none")
    taken_back(checkout, git(checkout, "rev-parse", "HEAD"), "failed")
    git(checkout, "reset", "--quiet", "--hard", began)


def taken_back(folder: Path, began: str, why: str) -> None:
    """Make a release that fails, and take it back as it says."""
    ended = release(folder, "9.0.0")
    said, undoing = ended.stderr.rstrip().rsplit("\n", 1)
    assert (ended.returncode, why in said) == (1, True), ended.stderr
    command = undoing.removesuffix(" takes the release back")
    subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True)  # noqa: S602 - as a reader does
    assert git(folder, "rev-parse", "HEAD") == began
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "tag", "--list") == ""


def test_a_dry_run(checkout: Path) -> None:
    """Does all of it in a copy: here nothing is changed but what it leaves to be looked at."""
    began = git(checkout, "rev-parse", "HEAD")
    ended = release(checkout, "--dry-run", "9.0.0", "--date", "2026-01-05")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1].startswith("a dry run: nothing was changed here")
    assert git(checkout, "rev-parse", "HEAD") == began
    assert git(checkout, "status", "--porcelain") == ""
    assert git(checkout, "tag", "--list") == ""
    assert not (checkout / "dist").exists()
    found = checkout / "build" / "release-9.0.0"
    assert "\n## 9.0.0 (2026-01-05)\n" in (found / "CHANGELOG.md").read_text()
    assert (found / "greenroom-9.0.0-py3-none-any.whl").exists()


def test_a_release(checkout: Path) -> None:
    """Version and changelog are committed and tagged; what is built is checked and listed."""
    ended = release(checkout, "9.0.0", "--date", "2026-01-05")
    assert ended.returncode == 0, ended.stderr
    assert "twine upload" in ended.stdout.splitlines()[-1]
    assert git(checkout, "log", "-1", "--format=%s") == "Release 9.0.0"
    assert git(checkout, "cat-file", "-t", "v9.0.0") == "tag"
    assert git(checkout, "status", "--porcelain") == ""
    changed = git(checkout, "show", "--name-only", "--diff-filter=M", "--format=", "HEAD")
    assert changed.split() == ["CHANGELOG.md", str(OVERLAY), "src/greenroom/__init__.py"]
    assert 'newTag: "9.0.0"' in (checkout / OVERLAY).read_text()
    assert "\n## 9.0.0 (2026-01-05)\n" in (checkout / "CHANGELOG.md").read_text()
    assert [path.name for path in (checkout / "changelog.d").iterdir()] == ["README.md"]
    built = {path.name for path in (checkout / "dist").iterdir()}
    wheel, sdist = "greenroom-9.0.0-py3-none-any.whl", "greenroom-9.0.0.tar.gz"
    assert built == {wheel, sdist, "greenroom-9.0.0.cdx.json", "SHA256SUMS"}
    command = ["sha256sum", "--check", "SHA256SUMS"]
    checked = subprocess.run(command, cwd=checkout / "dist", capture_output=True, check=True)
    assert checked.stdout.count(b": OK") == 3
    with zipfile.ZipFile(checkout / "dist" / wheel) as archive:
        assert b'__version__ = "9.0.0"' in archive.read("greenroom/__init__.py")
    again = release(checkout, "9.0.0")
    assert "is not above 9.0.0" in again.stderr
