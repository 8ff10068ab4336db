"""The values of all settings, each with where it came from."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from greenroom.model.quotas import Quotas, RateProfile
from greenroom.process.start_refused import StartRefused
from greenroom.settings.kinds import Network
from greenroom.settings.servers import ServerUrls
from greenroom.settings.table import Setting


class SettingsRefused(StartRefused):
    """The configuration cannot be used: the message is one clear line for the operator."""


class Value(msgspec.Struct, frozen=True):
    """A setting's value and where it came from."""

    setting: Setting
    value: object
    origin: str

    def shown(self) -> str:
        """Return the value for people; a secret only says that it is there."""
        if self.setting.secret and self.value:
            return "(hidden)"
        if isinstance(self.value, ServerUrls):
            return self.value.shown
        if isinstance(self.value, dict):
            return ", ".join(f"{name}={number}" for name, number in self.value.items())
        if isinstance(self.value, tuple):
            return ", ".join(str(each) for each in self.value)
        return "" if self.value is None else str(self.value)


class Settings:
    """The values of all settings."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self.values = values

    def text(self, name: str) -> str:
        """Return a setting that is text."""
        return cast(str, self.values[name].value)

    def optional_text(self, name: str) -> str | None:
        """Return a setting that is text or not given."""
        return cast(str | None, self.values[name].value)

    def number(self, name: str) -> int:
        """Return a setting that is a whole number."""
        return cast(int, self.values[name].value)

    def optional_number(self, name: str) -> int | None:
        """Return a setting that is a whole number or not given."""
        return cast(int | None, self.values[name].value)

    def path(self, name: str) -> Path:
        """Return a setting that is a path."""
        return cast(Path, self.values[name].value)

    def optional_path(self, name: str) -> Path | None:
        """Return a setting that is a path or not given."""
        return cast(Path | None, self.values[name].value)

    def table(self, name: str) -> dict[str, str]:
        """Return a setting that is a table of texts, in order."""
        return cast(dict[str, str], self.values[name].value)

    def networks(self, name: str) -> tuple[Network, ...]:
        """Return a setting that is a list of networks."""
        return cast(tuple[Network, ...], self.values[name].value)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a setting that is a list of texts."""
        return cast(tuple[str, ...], self.values[name].value)

    @property
    def database(self) -> ServerUrls | None:
        """Return the URL of the PostgreSQL that the nodes of a cluster share; None for one node."""
        found = self.values["storage"].value
        return found if isinstance(found, ServerUrls) else None

    @property
    def bus_servers(self) -> ServerUrls | None:
        """Return the URLs of the NATS servers; None for one node."""
        found = self.values["bus"].value
        return found if isinstance(found, ServerUrls) else None

    def served_regions(self) -> frozenset[str] | None:
        """Return the regions that requests may be signed for; None for any."""
        further = self.texts("regions")
        return None if "*" in further else frozenset((self.text("region"), *further))

    def unserved(self, used: frozenset[str]) -> list[str]:
        """Return those of the regions that no request may be signed for, in order."""
        served = self.served_regions()
        return [] if served is None else sorted(used - served)

    def quotas(self) -> Quotas:
        """Return the quotas in force."""
        overrides = cast(dict[str, int], self.values["quotas"].value)
        return Quotas(
            RateProfile(self.text("request_rates")),
            overrides,
            self.text("room_message_rates") == "enforced",
        )
