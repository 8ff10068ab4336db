"""What the environment says about AWS, as far as that can be read without asking anybody.

It serves to tell people, before the first call, what botocore will find: see `aws_access` for what
is used. Roles of machines and containers are found only by asking.
"""

import configparser
from collections.abc import Mapping
from pathlib import Path

import msgspec

_WEB_IDENTITY = "AWS_WEB_IDENTITY_TOKEN_FILE"
_CONTAINER = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_PROFILE_SOURCES = ("aws_access_key_id", "role_arn", "credential_process", "sso_session")
_ENDPOINT = "AWS_ENDPOINT_URL"
_IGNORED = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"


class Source(msgspec.Struct, frozen=True):
    """Where credentials are found, and the access key's id where it is there to be read."""

    origin: str
    access_key_id: str = ""

    @property
    def shown(self) -> str:
        """Return it for people."""
        key = f"the access key {self.access_key_id} of " if self.access_key_id else ""
        return key + self.origin


def credentials_source(environment: Mapping[str, str]) -> Source | None:
    """Return what botocore's chain finds first, but for the role of the machine; None: nothing."""
    key = environment.get("AWS_ACCESS_KEY_ID")
    if key and environment.get("AWS_SECRET_ACCESS_KEY"):
        return Source("the variable AWS_ACCESS_KEY_ID", key)
    if environment.get(_WEB_IDENTITY):
        return Source(f"the variable {_WEB_IDENTITY}")
    name = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE") or "default"
    for variable, default, section in (
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", name),
        ("AWS_CONFIG_FILE", "~/.aws/config", name if name == "default" else f"profile {name}"),
    ):
        found = _in_file(Path(environment.get(variable) or default), section)
        if found is not None:
            return found
    container = next((each for each in _CONTAINER if environment.get(each)), None)
    return None if container is None else Source(f"the variable {container}")


def endpoint_variable(environment: Mapping[str, str], service_id: str) -> str | None:
    """Return the variable that gives a service another endpoint; the id is as CLOUDWATCH_LOGS."""
    if environment.get(_IGNORED, "").lower() == "true":
        return None
    names = (f"{_ENDPOINT}_{service_id}", _ENDPOINT)
    return next((name for name in names if environment.get(name)), None)


def may_have_a_role(environment: Mapping[str, str]) -> bool:
    """Return whether the machine is asked for a role."""
    return environment.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true"


def _in_file(file: Path, section: str) -> Source | None:
    parser = configparser.RawConfigParser(strict=False)
    try:
        file = file.expanduser()
        parser.read_string(file.read_text(encoding="utf-8"))
        found = parser[section]
    except (OSError, ValueError, RuntimeError, KeyError, configparser.Error):
        return None
    if not any(name in found for name in _PROFILE_SOURCES):
        return None
    return Source(f"[{section}] in {file}", found.get("aws_access_key_id") or "")
