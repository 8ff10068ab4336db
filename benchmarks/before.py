"""The service as it was before it had anything that IVS Chat does not have.

Its code is taken out of the repository's history into the build directory, and run by the Python
and with the libraries of today: what differs is the code.
"""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from benchmarks.processes import BUILT, ROOT, NotHere
from benchmarks.service import Greenroom

COMMIT = "f6419423b74d565447578e80200eb3a025018621^"
"""What came before room settings, the first of the extensions."""


class Before(Greenroom):
    """The service of then."""

    name = "before the extensions"

    def __init__(self, directory: Path) -> None:
        self.environment = {"PYTHONPATH": str(code())}
        super().__init__(directory)


def code() -> Path:
    """Return the directory of the code of then.

    Raises:
        NotHere: this is no repository that has it.
    """
    folder = BUILT / "before"
    if (folder / "src").is_dir():
        return folder / "src"
    git = shutil.which("git")
    if git is None:
        raise NotHere("needs git")
    found = subprocess.run(  # noqa: S603 - a constant commit of this repository
        [git, "-C", ROOT, "archive", COMMIT, "src"], capture_output=True, check=False
    )
    if found.returncode:
        raise NotHere("the commit before the extensions is not in this checkout")
    fresh = folder.with_name("before.new")
    shutil.rmtree(fresh, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(fresh, filter="data")
    fresh.rename(folder)
    return folder / "src"
