"""The demo is refused where others than this machine reach the service."""

import pytest

from greenroom.demo.admission import check_addresses, check_settings
from greenroom.settings.load import load
from greenroom.settings.values import SettingsRefused


@pytest.mark.parametrize("hosts", [["127.0.0.1"], ["::1"], ["127.0.0.1", "::1"]])
def test_loopback_addresses(hosts: list[str]) -> None:
    """On this machine's own addresses it may be shown."""
    check_addresses(hosts)


@pytest.mark.parametrize("hosts", [["0.0.0.0"], ["::"], ["127.0.0.1", "192.0.2.1"]])
def test_addresses_that_others_reach(hosts: list[str]) -> None:
    """One that others can reach is enough; the line says which, why, and what to do."""
    with pytest.raises(SettingsRefused, match=hosts[-1]) as refused:
        check_addresses(hosts)
    assert "for this machine alone" in str(refused.value)
    assert "leave --host out" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("proxy_protocol", "on"), ("forwarded_proto", "on"), ("trusted_proxies", "127.0.0.1")],
)
def test_settings_of_who_is_behind_a_proxy(name: str, value: str) -> None:
    """Settings that only a proxy needs say that there is one; it would bring others."""
    given = {"proxy_protocol": "off", "trusted_proxies": "127.0.0.1", name: value}
    with pytest.raises(SettingsRefused, match=f"{name} says that a proxy brings others"):
        check_settings(load({}, {f"GREENROOM_{each.upper()}": given[each] for each in given}, None))


def test_several_processes() -> None:
    """The page is in one of them: others would not know of it."""
    cluster = {"storage": "postgresql://u@h/d", "bus": "nats://h", "processes": "2"}
    with pytest.raises(SettingsRefused, match="shown by one process"):
        check_settings(load(cluster, {}, None))


def test_settings_as_they_are() -> None:
    """Without such settings nothing is refused."""
    check_settings(load({}, {}, None))
