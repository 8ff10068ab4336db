"""What a service must be that shows the demo: nobody else's machine reaches it."""

from collections.abc import Sequence

from greenroom.network.this_machine import is_loopback
from greenroom.settings.values import Settings, SettingsRefused

_WHY = "--demo gives chat tokens to whoever reaches it, so it is for this machine alone"


def check_settings(settings: Settings) -> None:
    """Refuse what says that a proxy brings others here, or that several processes serve.

    Raises:
        SettingsRefused: it does.
    """
    if settings.number("processes") > 1:
        raise SettingsRefused("--demo is shown by one process: give no --processes beside it")
    for name, harmless in (("proxy_protocol", "off"), ("forwarded_proto", "off")):
        if settings.text(name) != harmless:
            raise SettingsRefused(f"{_WHY}: {name} says that a proxy brings others")
    if settings.texts("trusted_proxies"):
        raise SettingsRefused(f"{_WHY}: trusted_proxies says that a proxy brings others")


def check_addresses(hosts: Sequence[str]) -> None:
    """Refuse addresses that the service listens on.

    Raises:
        SettingsRefused: others can reach one.
    """
    others = [host for host in hosts if not is_loopback(host)]
    if others:
        raise SettingsRefused(
            f"{_WHY}: it does not listen on {', '.join(others)}; leave --host out, or give"
            " 127.0.0.1"
        )
