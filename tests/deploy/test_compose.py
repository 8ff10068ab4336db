"""The compose files: what they mount exists, what they set is known, nothing is left open."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from greenroom.settings.table import BY_SETTING, SETTINGS
from tests.deploy.containerfile import steps

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPOSE = DEPLOY / "compose"
FILES = ("compose.yml", "monitoring.yml")
UNIT = (DEPLOY / "systemd" / "greenroom.service").read_text()


def read(name: str) -> Any:
    """Return a compose file."""
    return yaml.safe_load((COMPOSE / name).read_text())


def services() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each service of each file."""
    for name in FILES:
        yield from read(name)["services"].items()


@pytest.mark.parametrize("name", FILES)
def test_what_is_named_is_there(name: str) -> None:
    """Files that are mounted exist; volumes and secrets are declared; images have a version."""
    told = read(name)
    for service in told["services"].values():
        for volume in service.get("volumes", ()):
            source, target, *_ = volume.split(":")
            assert target.startswith("/")
            if source.startswith("."):
                assert (COMPOSE / source).exists(), source
            else:
                assert source in told["volumes"]
        assert set(service.get("secrets", ())) <= set(told.get("secrets", ()))
        if "build" not in service and "image" in service:
            assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), service["image"]
        if "build" in service:
            context = (COMPOSE / service["build"]["context"]).resolve()
            assert (context / service["build"]["dockerfile"]).is_file()


def test_nothing_is_open_to_others() -> None:
    """Every port is this machine's until somebody says otherwise; nobody has privileges."""
    for name, service in services():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")
        if "image" in service:
            assert service["cap_drop"] == ["ALL"], name
            assert "no-new-privileges:true" in service["security_opt"]


def test_the_settings_exist() -> None:
    """Each variable of Greenroom's is a setting; no secret has a value in a file."""
    known = {BY_SETTING[each.name].variable for each in SETTINGS}
    for name, service in services():
        for variable, value in service.get("environment", {}).items():
            if name == "greenroom":
                assert variable in known
            if re.search("TOKEN|PASSWORD|SECRET", variable):
                assert re.fullmatch(r"\$\{[A-Z_]+:\?is in \.env, see \S+\}", value)


def test_the_node_is_confined() -> None:
    """What the test of the image runs with is what the file says; bounds are those of the unit."""
    node = read("compose.yml")["services"]["greenroom"]
    assert node["read_only"] is True
    assert node["tmpfs"] == ["/tmp"]  # noqa: S108 - in the image
    (profile,) = [each for each in node["security_opt"] if each.startswith("seccomp:")]
    assert (COMPOSE / profile.removeprefix("seccomp:")).is_file()
    assert f"LimitNOFILE={node['ulimits']['nofile']['soft']}\n" in UNIT
    assert f"TimeoutStopSec={node['stop_grace_period']}\n" in UNIT
    said = {
        step.word: step.text for step in steps((DEPLOY / "container/Containerfile").read_text())
    }
    assert node["ports"] == [f"127.0.0.1:{said['EXPOSE']}:{said['EXPOSE']}"]
    assert node["volumes"] == [f"data:{said['VOLUME']}"]


def test_prometheus_finds_the_node_and_the_alerts() -> None:
    """The job has the name that alerts ask for; its token is the secret, its rules are there."""
    told = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())
    (job,) = told["scrape_configs"]
    assert job["job_name"] == "greenroom"
    assert job["static_configs"] == [{"targets": ["greenroom:8470"]}]
    secret = read("monitoring.yml")["secrets"]["metrics_token"]
    assert job["authorization"] == {"credentials_file": "/run/secrets/metrics_token"}
    assert f"${{{secret['environment']}:" in str(read("monitoring.yml")["services"]["greenroom"])
    mounted = mounts("prometheus")
    assert mounted["/etc/prometheus/alerts.yml"].name in told["rule_files"]


def test_grafana_shows_the_dashboard() -> None:
    """The folder that is looked into has the dashboard; its data come from Prometheus's service."""
    mounted = mounts("grafana")
    provisioning = mounted["/etc/grafana/provisioning"]
    (provider,) = read_yaml(provisioning / "dashboards")["providers"]
    assert mounted[f"{provider['options']['path']}/greenroom.json"].is_file()
    (source,) = read_yaml(provisioning / "datasources")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")


def mounts(service: str) -> dict[str, Path]:
    """Return what is mounted from this checkout, by its place."""
    volumes = read("monitoring.yml")["services"][service]["volumes"]
    pairs = (volume.split(":")[:2] for volume in volumes)
    return {place: COMPOSE / source for source, place in pairs if source.startswith(".")}


def read_yaml(folder: Path) -> Any:
    """Return the only file of a folder."""
    (path,) = folder.iterdir()
    return yaml.safe_load(path.read_text())
