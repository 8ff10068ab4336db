"""A stand-in for the image `python:slim`: this machine's Python, with what it needs."""

import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable
from pathlib import Path

PROGRAMS = ("sh", "install", "ls")
"""What the steps of the build use, beside Python."""

NOT_NEEDED = ("test", "idlelib", "tkinter", "turtledemo", "site-packages", "config-*")
OF_SYSTEM = (
    *("libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "libresolv.so.2"),
    *("librt.so.1", "libstdc++.so.6", "libutil.so.1"),
)
"""What compiled extensions may ask for, which the image has as well."""

PIP = """#!/usr/local/bin/python3
import sys
from pip._internal.cli.main import main
sys.exit(main())
"""


def lay_out(root: Path) -> None:
    """Fill an empty directory."""
    for name in ("proc", "dev", "tmp", "etc", "usr/bin", "usr/local/bin"):
        (root / name).mkdir(parents=True)
    for name in ("null", "zero", "random", "urandom"):
        (root / "dev" / name).touch()
    (root / "tmp").chmod(0o1777)
    (root / "bin").symlink_to("usr/bin")
    programs = [Path(shutil.which(name) or f"/bin/{name}").resolve() for name in PROGRAMS]
    for name, program in zip(PROGRAMS, programs, strict=True):
        shutil.copy(program, root / "usr/bin" / name)
    library = Path(sysconfig.get_path("stdlib"))
    python = Path(sys.executable).resolve()
    shutil.copytree(
        library, root / "usr/local/lib" / library.name, ignore=shutil.ignore_patterns(*NOT_NEEDED)
    )
    shutil.copy(python, root / "usr/local/bin/python3")
    (root / "usr/local/bin/python").symlink_to("python3")
    install_pip(root)
    copy_libraries(root, [python, *programs, *(library / "lib-dynload").glob("*.so")])


def install_pip(root: Path) -> None:
    """Unpack the pip that Python bundles, as the image has one."""
    library = next((root / "usr/local/lib").iterdir())
    bundled = next((library / "ensurepip" / "_bundled").glob("pip-*.whl"))
    with zipfile.ZipFile(bundled) as wheel:
        wheel.extractall(library / "site-packages")
    program = root / "usr/local/bin/pip"
    program.write_text(PIP)
    program.chmod(0o755)


def copy_libraries(root: Path, of: Iterable[Path]) -> None:
    """Copy the libraries that programs ask for to the places where they are found."""
    told = subprocess.run(["ldd", *of], capture_output=True, text=True, check=False).stdout
    found = set(re.findall(r"(/\S+) \(0x", told))
    folder = next(Path(each).parent for each in found if "libc.so" in each)
    found |= {str(folder / name) for name in OF_SYSTEM if (folder / name).exists()}
    for library in found:
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
