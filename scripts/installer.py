"""Install a lock file into an environment: `installer.py NAME ENVIRONMENT KEY`.

uv does it where it has a wheel, many times faster; it is itself a lock file that the bundled pip
installs. Else that pip does: no wheel, INSTALLER=pip, a setting of pip that uv has nothing like, or
a failure of uv. What is installed is the same, because every file is known by its hash.
"""

import functools
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pip_settings

ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / ".venv" / "uv"
SAY_EVERY_SECONDS = 10

say = functools.partial(print, file=sys.stderr, flush=True)


def main() -> None:
    """Install what is missing; `scripts/install` lets one of these run at a time."""
    name, venv, key = sys.argv[1], ROOT / sys.argv[2], sys.argv[3]
    done = venv / f".installed-{name}"
    if _is_sound(venv) and done.exists() and done.read_text() == f"{key}\n":
        return
    started = time.monotonic()
    say(f"installing requirements/{name}.txt into {venv.relative_to(ROOT)} ...")
    tool = _install(name, venv)
    done.write_text(f"{key}\n")
    say(f"installed requirements/{name}.txt with {tool} in {time.monotonic() - started:.0f} s")


def _install(name: str, venv: Path) -> str:
    """Install with uv or else with pip; return which it was."""
    locks = [_lock("build"), _lock(name)] if venv == ROOT / ".venv" else [_lock(name)]
    if name == "uv":
        _make(venv, with_pip=True)
        _run_pip(venv, [*_from(locks), "--only-binary", ":all:"])
        return "pip"
    if _uv_installs(venv, locks):
        return "uv"
    _make(venv, with_pip=True)
    _run_pip(venv, _from(locks))
    if venv == ROOT / ".venv":
        _run_pip(venv, ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)])
    return "pip"


def _lock(name: str) -> Path:
    return ROOT / "requirements" / f"{name}.txt"


def _from(locks: list[Path]) -> list[str]:
    return ["--require-hashes", *(word for lock in locks for word in ("-r", str(lock)))]


def _is_sound(venv: Path) -> bool:
    """Return whether an environment was made for this place, and its Python is still there."""
    told = venv / "pyvenv.cfg"
    return told.exists() and (venv / "bin/python").exists() and f" {venv}\n" in told.read_text()


def _make(venv: Path, *, with_pip: bool) -> None:
    """Make an environment; one that was moved here, or whose Python is gone, is made anew."""
    options = [] if with_pip else ["--without-pip"]
    if _is_sound(venv):
        if not with_pip or (venv / "bin/pip").exists():
            return
    elif (venv / "pyvenv.cfg").exists():
        options.append("--clear")
    subprocess.run([sys.executable, "-m", "venv", *options, str(venv)], check=True)


# ------------------------------------------------------------------------------------------ pip


def _pip(venv: Path, *words: str) -> list[str]:
    return [str(venv / "bin/python"), "-m", "pip", "--disable-pip-version-check", *words]


def _run_pip(venv: Path, what: list[str]) -> None:
    """Install with the environment's pip, and show how far it is. A failure ends the program."""
    count, said, live = 0, time.monotonic(), sys.stderr.isatty()
    command = _pip(venv, "install", "--progress-bar", "off", *what)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pip:
        for line in pip.stdout or ():
            count += line.startswith(("Collecting ", "Processing "))
            if live:
                sys.stderr.write(f"\r\033[K  {count} packages: {line.strip()[:60]}")
            elif time.monotonic() - said > SAY_EVERY_SECONDS:
                said = time.monotonic()
                say(f"  {count} packages: {line.strip()[:60]}")
    if live:
        sys.stderr.write("\r\033[K")
    if pip.returncode:
        sys.exit(1)


# ------------------------------------------------------------------------------------------- uv


def _uv_installs(venv: Path, locks: list[Path]) -> bool:
    """Return whether uv is here and has installed; why not is told."""
    if os.environ.get("INSTALLER", "uv") == "pip":
        return False
    _make(UV, with_pip=True)
    listing = subprocess.run(_pip(UV, "config", "list"), check=True, capture_output=True, text=True)
    settings = pip_settings.read(listing.stdout)
    try:
        variables = {**os.environ, **pip_settings.for_uv(settings)}
    except pip_settings.NotHandedOver as setting:
        say(f"  uv has nothing like pip's setting {setting}: pip installs, which takes longer")
        return False
    _make(venv, with_pip=False)
    options = ["--no-index"] if pip_settings.no_index(settings) else []
    project = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    locked = _from(locks)
    if "constraint" in settings:  # uv requires hashes of constraints too; the locks are complete
        locked[0] = "--no-deps"
    wanted = [locked, project] if venv == ROOT / ".venv" else [locked]
    try:
        if _has_uv() and all(_run_uv(venv, [*options, *each], variables) for each in wanted):
            return True
    except OSError as error:
        say(f"  {error}")
    say("  uv could not: pip installs, which takes longer")
    return False


def _has_uv() -> bool:
    """Have the locked uv; return whether that is so."""
    uv, pinned = UV / "bin/uv", re.findall(r"^uv==(\S+)", _lock("uv").read_text(), re.MULTILINE)
    if uv.exists():
        told = subprocess.run([uv, "--version"], check=False, capture_output=True, text=True)
        if told.stdout.split()[1:2] == pinned:
            return True
    what = [*_from([_lock("uv")]), "--only-binary", ":all:", "--quiet"]
    return subprocess.run(_pip(UV, "install", *what), check=False).returncode == 0


def _run_uv(venv: Path, what: list[str], variables: dict[str, str]) -> bool:
    """Install with uv, which shows a terminal how far it is; return whether it succeeded."""
    command = [str(UV / "bin/uv"), "pip", "install", "--python", str(venv / "bin/python"), *what]
    if variables.get("PYTHONDONTWRITEBYTECODE"):  # else the first import writes it
        command.append("--compile-bytecode")
    output = None if sys.stderr.isatty() else subprocess.PIPE
    done = subprocess.run(command, check=False, stderr=output, text=True, env=variables)
    if done.returncode and done.stderr:
        sys.stderr.write(done.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    main()
