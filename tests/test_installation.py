"""How lock files are installed: on any day, by any supported pip, as the user has set pip up."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import pip_settings

ROOT = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[([^]]*)\])?==", re.MULTILINE)


def test_locks_keep_the_extras_that_packages_ask_for() -> None:
    """An older pip takes the lock of `coverage` for no lock of `coverage[toml]`.

    It would look for the newest, and refuse it as soon as there is a newer one.
    """
    text = (ROOT / "requirements" / "test.txt").read_text()
    locked = {name: set((extras or "").split(", ")) - {""} for name, extras in PINNED.findall(text)}
    asked = [
        (package, wish)
        for package, extras in locked.items()
        for wish in _wishes(package, extras)
        if wish.extras
    ]
    assert asked, "pytest-cov asks for coverage[toml]"
    for package, wish in asked:
        assert wish.extras == locked[canonicalize_name(wish.name)], f"{package} asks for {wish}"


def _wishes(package: str, extras: set[str]) -> Iterator[Requirement]:
    try:
        required = importlib.metadata.requires(package) or ()
    except importlib.metadata.PackageNotFoundError:  # for another system
        return
    for wish in map(Requirement, required):
        marker = wish.marker
        if marker is None or any(marker.evaluate({"extra": each}) for each in ("", *extras)):
            yield wish


def test_ci_installs_every_lock() -> None:
    """The oldest pip tries each lock file; a new one must be named there."""
    script = (ROOT / "scripts" / "oldest-pip").read_text()
    names = re.search(r"printf '%s\\n' ([a-z -]+) \|", script)
    locks = {lock.stem for lock in (ROOT / "requirements").glob("*.txt")}
    assert names
    assert {*names[1].split(), "oldest-pip"} == locks


def test_settings_are_read_as_pip_ranks_them() -> None:
    """`[install]` wins over `[global]`, the environment over both; other commands do not count."""
    listing = r"""
:env:.index-url='https://env.example/simple'
:env:.find-links=' '
download.proxy='http://unused.example'
global.extra-index-url='\nhttps://a.example\nhttps://b.example'
global.index-url='https://global.example/simple'
install.index-url='https://install.example/simple'
"""
    assert pip_settings.read(listing) == {
        "extra-index-url": "\nhttps://a.example\nhttps://b.example",
        "index-url": "https://env.example/simple",
    }


def test_uv_is_told_the_same(tmp_path: Path) -> None:
    """Indexes, certificates, proxy, folders, constraints and limits have counterparts."""
    told = pip_settings.for_uv(
        {
            "cert": "/etc/ours.pem",
            "constraint": "/etc/limits.txt",
            "default-timeout": "7.5",
            "disable-pip-version-check": "1",
            "extra-index-url": "\nhttps://a.example\nhttps://b.example",
            "find-links": f"{tmp_path} {tmp_path}/missing https://c.example/files",
            "index-url": "https://user:word@d.example/simple",
            "no-index": "false",
            "proxy": "http://proxy.example:3128",
        }
    )
    assert told == {
        "ALL_PROXY": "http://proxy.example:3128",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "HTTP_PROXY": "http://proxy.example:3128",
        "SSL_CERT_FILE": "/etc/ours.pem",
        "UV_CONSTRAINT": "/etc/limits.txt",
        "UV_DEFAULT_INDEX": "https://user:word@d.example/simple",
        "UV_EXTRA_INDEX_URL": "https://a.example https://b.example",
        "UV_FIND_LINKS": f"{tmp_path},https://c.example/files",
        "UV_HTTP_TIMEOUT": "8",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [("no-binary", ":all:"), ("find-links", "/a,b"), ("use-feature", "truststore")],
)
def test_what_uv_cannot_be_told_is_named(name: str, value: str) -> None:
    """A setting without a counterpart is never dropped in silence: pip installs, and says why."""
    with pytest.raises(pip_settings.NotHandedOver, match=f"^{name}$"):
        pip_settings.for_uv({name: value})


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("yes", True), ("0", False)])
def test_no_index(value: str, expected: bool) -> None:
    """Only pip's words for yes keep uv from the indexes."""
    assert pip_settings.no_index({"no-index": value}) is expected


# ---------------------------------------------------------------- the real script, a stand-in of uv

STAND_IN = """#!/bin/sh
if [ "$1" = --version ]; then echo "uv 1.0"; exit; fi
{ echo "$UV_FIND_LINKS"; printf '%s\\n' "$@"; } > ../told
exit "$UV_STATUS"
"""


class Checkout:
    """A checkout with two lock files of one wheel each, which lie in a folder: `uv` and `docs`."""

    def __init__(self, path: Path) -> None:
        self.path, self.wheels, self.told = path / "checkout", path / "wheels", path / "told"
        self.wheels.mkdir()
        shutil.copytree(ROOT / "scripts", self.path / "scripts")
        for name in ("requirements", "src/greenroom"):
            (self.path / name).mkdir(parents=True)
        for name in ("requirements/build.txt", "pyproject.toml", "src/greenroom/__init__.py"):
            (self.path / name).touch()
        self.lock("docs", "pages", {"pages.py": ""})
        self.lock("uv", "uv", {"uv-1.0.data/scripts/uv": STAND_IN})

    def lock(self, lock: str, package: str, files: dict[str, str]) -> None:
        """Lock a wheel, which is made of these files."""
        info = f"{package}-1.0.dist-info"
        files = {
            **files,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{name},sha256={_digest(text)},\n" for name, text in files.items())
        wheel = self.wheels / f"{package}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, text in {**files, f"{info}/RECORD": record}.items():
                member = zipfile.ZipInfo(name)
                member.external_attr = 0o100755 << 16
                archive.writestr(member, text)
        digest = sha256(wheel.read_bytes()).hexdigest()
        lock_file = self.path / "requirements" / f"{lock}.txt"
        lock_file.write_text(f"{package}==1.0 --hash=sha256:{digest}\n")

    def install(self, **variables: str) -> str:
        """Install `docs`; return what was said."""
        kept = {name: value for name, value in os.environ.items() if name[:3] not in ("PIP", "UV_")}
        settings = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "UV_STATUS": "0"}
        settings |= {"PIP_FIND_LINKS": str(self.wheels), **variables}
        ended = subprocess.run(
            [self.path / "scripts" / "install", "docs"],
            env={**kept, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stderr

    def has_pages(self) -> bool:
        """Return whether `docs` is installed by pip: the stand-in installs nothing."""
        return bool(list((self.path / ".venv/docs").rglob("pages.py")))

    def forget(self) -> None:
        """Let `docs` not be installed, in an environment that is there."""
        for path in (*(self.path / ".venv/docs").rglob("pages*"), self.told):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        (self.path / ".venv/docs/.installed-docs").unlink(missing_ok=True)


def _digest(text: str) -> str:
    return urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a checkout; its environments are kept between tests, because each costs seconds."""
    return Checkout(tmp_path_factory.mktemp("installation"))


@pytest.fixture
def checkout(made: Checkout) -> Checkout:
    """Return a checkout in which nothing is installed."""
    made.forget()
    return made


def test_uv_installs(checkout: Checkout) -> None:
    """The locked uv is installed by pip and then installs, told where the user's packages are."""
    said = checkout.install()
    assert said.startswith("installing requirements/docs.txt into .venv/docs ...\n")
    assert "installed requirements/docs.txt with uv in " in said
    told = checkout.told.read_text().splitlines()
    assert told[0] == str(checkout.wheels)
    assert {"--no-index", "--require-hashes"} < set(told)
    assert not checkout.has_pages()
    assert checkout.install() == "", "what was done is skipped"


def test_constraints_of_the_user_hold(checkout: Checkout) -> None:
    """Where uv requires hashes, it wants them of constraints, too; those of the lock are enough."""
    checkout.install(PIP_CONSTRAINT="limits.txt")
    told = checkout.told.read_text().splitlines()
    assert "--no-deps" in told
    assert "--require-hashes" not in told


def test_pip_installs_where_uv_fails(checkout: Checkout) -> None:
    """A uv that ends with an error is told of, and pip installs the same."""
    said = checkout.install(UV_STATUS="2")
    assert "  uv could not: pip installs, which takes longer\n" in said
    assert "installed requirements/docs.txt with pip in " in said
    assert checkout.told.exists()
    assert checkout.has_pages()


def test_pip_installs_what_uv_cannot_be_told(checkout: Checkout) -> None:
    """A setting of pip that uv has nothing like is named, and holds."""
    said = checkout.install(PIP_ONLY_BINARY=":all:")
    assert "  uv has nothing like pip's setting only-binary: pip installs, " in said
    assert checkout.has_pages()
    assert not checkout.told.exists()


def test_pip_installs_where_uv_has_no_wheel(checkout: Checkout) -> None:
    """On a machine for which uv has no wheel, pip is enough; so it is with INSTALLER=pip."""
    lock = checkout.path / "requirements" / "uv.txt"
    before = lock.read_text()
    lock.write_text(f"uv==9.9 --hash=sha256:{'0' * 64}\n")
    assert "  uv could not: pip installs" in checkout.install()
    assert checkout.has_pages()
    checkout.forget()
    assert "  uv could not" not in checkout.install(INSTALLER="pip")
    assert checkout.has_pages()
    lock.write_text(before)


def test_an_environment_from_elsewhere_is_made_anew(checkout: Checkout) -> None:
    """A checkout that was moved has environments that point to where nothing is."""
    checkout.install()
    told = checkout.path / ".venv/docs/pyvenv.cfg"
    told.write_text(told.read_text().replace(str(checkout.path), "/elsewhere"))
    left = checkout.path / ".venv/docs/left"
    left.touch()
    checkout.forget()
    checkout.install()
    assert not left.exists()
