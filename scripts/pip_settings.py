"""Say to uv what the user has told pip: index, certificates, proxy, folders of packages, limits.

uv reads neither pip's files nor its variables. Where a setting has no counterpart, pip installs.
"""

import ast
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

SECTIONS = ("global", "install", ":env:")
"""Where a setting of `pip install` can stand; the later wins."""

IRRELEVANT = {
    "config-file", "disable-pip-version-check", "exists-action", "log", "no-color", "no-input",
    "no-python-version-warning", "no-warn-conflicts", "no-warn-script-location", "prefer-binary",
    "progress-bar", "quiet", "require-hashes", "require-virtualenv", "root-user-action", "verbose",
}  # fmt: skip
"""Settings that change how pip talks, or nothing in an environment of hashes."""


class NotHandedOver(Exception):
    """uv has nothing like one of the settings; the message is its name."""


def read(listing: str) -> dict[str, str]:
    """Return what `pip config list` says about `pip install`, by the names of pip's options."""
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if section in found:
            found[section][option] = str(ast.literal_eval(value))
    merged = {name: value for section in SECTIONS for name, value in found[section].items()}
    return {name: value for name, value in merged.items() if value.strip()}


def for_uv(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that tell uv the same; `no_index` has none.

    Raises:
        NotHandedOver: a setting is unknown here, or cannot be said to uv.
    """
    variables: dict[str, str] = {}
    for name, value in settings.items():
        if name in IRRELEVANT or name == "no-index":
            continue
        if name not in _COUNTERPARTS:
            raise NotHandedOver(name)
        variables |= _COUNTERPARTS[name](value)
    return variables


def no_index(settings: Mapping[str, str]) -> bool:
    """Return whether only the folders of packages may be looked into."""
    return settings.get("no-index", "0").strip().lower() in {"1", "t", "true", "y", "yes", "on"}


def _as(*variables: str, separator: str = " ") -> Callable[[str], dict[str, str]]:
    return lambda value: dict.fromkeys(variables, separator.join(value.split()))


def _extra_index(value: str) -> dict[str, str]:
    """Let each index be asked for each package, as pip does: the hashes decide what is taken."""
    return {
        "UV_EXTRA_INDEX_URL": " ".join(value.split()),
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def _find_links(value: str) -> dict[str, str]:
    """Leave out folders that do not exist: pip warns of them, uv fails."""
    places = [os.path.expanduser(each) for each in value.split()]  # noqa: PTH111 - URLs, too
    if "," in value:
        raise NotHandedOver("find-links")
    kept = [each for each in places if ":/" in each or Path(each).exists()]
    return {"UV_FIND_LINKS": ",".join(kept)} if kept else {}


def _seconds(value: str) -> dict[str, str]:
    return {"UV_HTTP_TIMEOUT": str(math.ceil(float(value)))}


_COUNTERPARTS: dict[str, Callable[[str], dict[str, str]]] = {
    "cache-dir": lambda value: {"UV_CACHE_DIR": str(Path(value).expanduser() / "uv")},
    "cert": _as("SSL_CERT_FILE"),
    "client-cert": _as("SSL_CLIENT_CERT"),
    "constraint": _as("UV_CONSTRAINT"),
    "default-timeout": _seconds,
    "extra-index-url": _extra_index,
    "find-links": _find_links,
    "index-url": _as("UV_DEFAULT_INDEX"),
    "no-cache-dir": lambda _: {"UV_NO_CACHE": "1"},
    "proxy": _as("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"),
    "retries": _as("UV_HTTP_RETRIES"),
    "timeout": _seconds,
    "trusted-host": _as("UV_INSECURE_HOST"),
}
