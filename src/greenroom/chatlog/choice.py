"""Where chat logs will go, for people: told before the first record does.

Without a pattern the environment decides (see `destinations`), and the environment of a process is
seldom looked at. So the banner, `greenroom config` and, where it is AWS, a warning say what it
comes to.
"""

from collections.abc import Mapping

import msgspec

from greenroom.aws_access.clients import Service
from greenroom.aws_access.environment import Source, credentials_source, may_have_a_role
from greenroom.chatlog.destinations import SERVICES, endpoints
from greenroom.settings.values import Settings


class Choice(msgspec.Struct, frozen=True):
    """Where they go, and why."""

    where: str
    why: str
    by_environment: bool = False
    """Whether they go to AWS because of what nobody set for Greenroom."""

    @property
    def shown(self) -> str:
        """Return it in one line."""
        return f"{self.where} ({self.why})" if self.why else self.where


def chosen(
    settings: Settings, environment: Mapping[str, str], own_key_id: str | None = None
) -> Choice:
    """Return where chat logs go, as far as nobody need be asked; the key is that of the root."""
    patterns = settings.table("chat_log_destinations")
    if patterns:
        said = ", ".join(f"{pattern}={word}" for pattern, word in patterns.items())
        return Choice(said, "; ".join(("chat_log_destinations", *lacking(settings, environment))))
    given = [service for service in SERVICES.values() if service in endpoints(settings)]
    if len(given) == len(SERVICES):
        return Choice("the endpoints of the settings", _names(given))
    beside = f", but for {_names(given)}" if given else ""
    source = credentials_at_hand(environment, own_key_id)
    if source is not None:
        return Choice(f"AWS{beside}", source.shown, by_environment=True)
    role = ", or AWS if this machine has a role" if may_have_a_role(environment) else ""
    return Choice(f"{_files(settings)}{role}{beside}", "")


def lacking(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Return what logs that patterns send to AWS lack, if anything, as far as one can read it."""
    is_asked_for = _AWS in settings.table("chat_log_destinations").values()
    if not is_asked_for or credentials_source(environment) is not None:
        return []
    role = ", unless this machine has a role" if may_have_a_role(environment) else ""
    return [f"no AWS credentials are at hand{role}"]


_AWS = "aws"


def credentials_at_hand(environment: Mapping[str, str], own_key_id: str | None) -> Source | None:
    """Return where AWS credentials are found that are not the service's own."""
    source = credentials_source(environment)
    return None if source is not None and source.access_key_id == own_key_id else source


def _names(services: list[Service]) -> str:
    return ", ".join(service.setting for service in services)


def _files(settings: Settings) -> str:
    given = settings.optional_path("chat_log_dir")
    if given is None and settings.database is not None:
        return "nowhere: a cluster needs chat_log_dir"
    if given is None and settings.text("storage") == "memory":
        return "files that last as long as the process"
    return f"files in {given or settings.path('data_dir') / 'chat-logs'}"
