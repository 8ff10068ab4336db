"""Run a program in a root directory, as a container engine does: `in_root.py JSON`.

It is started by `unshare --mount --pid --fork`: mounts end with it, and the program is process 1.
"""

import ctypes
import json
import os
import subprocess
import sys
from typing import Any, ClassVar

ACTIONS = {"SCMP_ACT_ALLOW": 0x7FFF0000, "SCMP_ACT_ERRNO": 0x00050000}
COMPARISONS = {"SCMP_CMP_EQ": 4, "SCMP_CMP_MASKED_EQ": 7}
PR_SET_NO_NEW_PRIVS = 38
DEVICES = ("null", "zero", "random", "urandom")


class Argument(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_: ClassVar = [  # type: ignore[mutable-override]  # ctypes reads it once
        ("index", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("valueTwo", ctypes.c_uint64),
    ]


def mount(*words: str) -> None:
    """Mount."""
    subprocess.run(["mount", *words], check=True)


def prepare(root: str, asked: dict[str, Any]) -> None:
    """Mount what a container has, and make the rest read-only if that is asked for."""
    mount("--bind", root, root)
    mount("-t", "proc", "proc", f"{root}/proc")
    for device in DEVICES:
        mount("--bind", f"/dev/{device}", f"{root}/dev/{device}")
    for place, source in asked["volumes"].items():
        mount("--bind", source, root + place)
    for place in asked["tmpfs"]:
        mount("-t", "tmpfs", "tmpfs", root + place)
    if asked["read_only"]:
        mount("-o", "remount,bind,ro", root)


def load(profile: dict[str, Any], library: ctypes.CDLL) -> None:
    """Let the process make the system calls of a profile only, and gain no privileges."""
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    library.seccomp_init.restype = ctypes.c_void_p
    refusal = ACTIONS[profile["defaultAction"]] | profile["defaultErrnoRet"]
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(refusal)))
    for rule in profile["syscalls"]:
        arguments = [
            Argument(each["index"], COMPARISONS[each["op"]], each["value"], each.get("valueTwo", 0))
            for each in rule.get("args", ())
        ]
        given = (Argument * max(1, len(arguments)))(*arguments)
        for name in rule["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            action = ctypes.c_uint32(ACTIONS[rule["action"]])
            if number >= 0 and library.seccomp_rule_add_array(
                context, action, number, len(arguments), given
            ):
                raise OSError(f"libseccomp refuses the rule for {name}")
    if library.seccomp_load(context):
        raise OSError("libseccomp cannot load the profile")


def main(asked: dict[str, Any]) -> None:
    """Become the program."""
    prepare(asked["root"], asked)
    profile = asked["seccomp"]
    library = ctypes.CDLL("libseccomp.so.2") if profile else None
    os.chroot(asked["root"])
    os.chdir(asked["directory"])
    user, group = asked["user"]
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    if library is not None:
        load(profile, library)
    os.execvpe(asked["command"][0], asked["command"], asked["environment"])  # noqa: S606 - as an engine does


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
