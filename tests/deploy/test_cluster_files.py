"""Manifests, compose file and configurations of a cluster: valid, safe, true of this service."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types

from greenroom.entrance.health import LIVE, READY
from greenroom.settings import load
from greenroom.settings.table import BY_SETTING, PREFIX
from scripts.servers.nats_server import NEWEST, ROOT
from tests.deploy.kustomized import Manifest, build, containers, pod

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = sorted(path for path in (KUBERNETES / "overlays").iterdir())
COMPOSE = DEPLOY / "cluster" / "compose.yaml"
CHECKER = ROOT / ".venv" / "manifests" / "bin" / "python"
VERSION = "1.34"
"""The version of Kubernetes whose schemas the manifests are checked by."""

PORT = BY_SETTING["port"].default
PROBES = {LIVE.decode(), READY.decode()}

CHECK_MANIFESTS = f"""
import json, sys, kubernetes_validate
for each in json.load(sys.stdin):
    kubernetes_validate.validate(each, "{VERSION}", strict=True)
"""
CHECK_COMPOSE = """
import json, sys
from compose_spec.models import ComposeSpecification
ComposeSpecification.model_validate(json.load(sys.stdin))
"""


def check(program: str, what: object) -> None:
    """See that a file is valid by its schema."""
    if not CHECKER.exists():
        reason = "needs the schemas: scripts/install manifests"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    ended = subprocess.run(
        [CHECKER, "-c", program],
        input=json.dumps(what),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]


@pytest.fixture(params=OVERLAYS, ids=lambda path: path.name)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    """Give the manifests of an overlay."""
    return build(request.param)


def one(manifests: list[Manifest], kind: str, name: str = "greenroom") -> Manifest:
    """Return the manifest of that kind and name."""
    (found,) = (
        each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return found


def test_manifests_are_valid(manifests: list[Manifest]) -> None:
    """Each is as the schema of its kind says, without an unknown field; none is there twice."""
    names = [(each["kind"], each["metadata"]["name"]) for each in manifests]
    assert len(set(names)) == len(names)
    check(CHECK_MANIFESTS, manifests)


def test_pods_may_do_little(manifests: list[Manifest]) -> None:
    """No root, no privilege, nothing to write to but what is mounted, no key to the cluster."""
    pods = [each for each in manifests if pod(each)]
    assert pods
    for each in pods:
        security = pod(each)["securityContext"]
        assert security["runAsNonRoot"]
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod(each)["automountServiceAccountToken"] is False
        for container in containers(each):
            its = container["securityContext"]
            assert its["readOnlyRootFilesystem"] is True
            assert its["allowPrivilegeEscalation"] is False
            assert its["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def test_what_is_selected_is_there(manifests: list[Manifest]) -> None:
    """Services, budgets, policies and spreading mean pods that there are, and one kind each."""
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in manifests if pod(each)]
    selectors = [
        spec["selector"].get("matchLabels", spec["selector"])
        for each in manifests
        if "selector" in (spec := each.get("spec", {}))
    ]
    selectors += [
        each["spec"]["podSelector"]["matchLabels"]
        for each in manifests
        if each["kind"] == "NetworkPolicy"
    ]
    for selector in selectors:
        assert [selector.items() <= each.items() for each in labels].count(True) == 1, selector


def test_settings_probes_and_ports_of_manifests(manifests: list[Manifest]) -> None:
    """The settings are the service's, and go together; probes and ports are where it answers."""
    settings = one(manifests, "ConfigMap")["data"]
    assert load.load({}, settings, None).bus_servers is not None
    deployment = one(manifests, "Deployment")
    (node,) = containers(deployment)
    assert node["ports"] == [{"name": "http", "containerPort": PORT}]
    probes = {name: node[name]["httpGet"] for name in node if name.endswith("Probe")}
    assert set(probes) == {"startupProbe", "livenessProbe", "readinessProbe"}
    assert {each["port"] for each in probes.values()} == {"http"}
    assert probes["readinessProbe"]["path"] == READY.decode()
    assert probes["livenessProbe"]["path"] == probes["startupProbe"]["path"] == LIVE.decode()
    mounted = {each["mountPath"] for each in node["volumeMounts"]}
    files = {value for name, value in settings.items() if name.endswith("_FILE")}
    assert {str(Path(each).parent) for each in files} <= mounted
    assert "/data" in mounted
    pause = node["lifecycle"]["preStop"]["sleep"]["seconds"]
    spread = int(settings["GREENROOM_DRAIN_SPREAD_SECONDS"])
    drain = int(str(BY_SETTING["drain_timeout_seconds"].default))
    assert pause + spread + drain < pod(deployment)["terminationGracePeriodSeconds"]
    policy = one(manifests, "NetworkPolicy")["spec"]
    assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": PORT}]}]
    assert one(manifests, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert "podAntiAffinity" in pod(deployment)["affinity"]


def test_nodes_find_nats(manifests: list[Manifest]) -> None:
    """The bus is the servers of the StatefulSet, each by its name and port."""
    nats = one(manifests, "StatefulSet", "nats")
    urls = one(manifests, "ConfigMap")["data"]["GREENROOM_BUS"].split(",")
    replicas = nats["spec"]["replicas"]
    assert urls == [f"nats://nats-{number}.nats:4222" for number in range(replicas)]


def compose() -> dict[str, Any]:
    """Return the compose file."""
    told: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return told


def test_compose_is_valid() -> None:
    """It is as the Compose specification says."""
    check(CHECK_COMPOSE, {name: each for name, each in compose().items() if name[:2] != "x-"})


def test_what_compose_names_is_there() -> None:
    """Settings, files, secrets, ports and volumes are ours, and those that are declared."""
    told = compose()
    ours = {name: each for name, each in told["services"].items() if "build" in each}
    assert set(ours) == {"init", "node-1", "node-2", "node-3"}
    nodes = ours.values()
    for node in nodes:
        assert load.load({}, node["environment"], None).bus_servers is not None
        for name in node["secrets"]:
            assert f"/run/secrets/{name}" in node["environment"].values()
            assert name in told["secrets"]
        assert node["depends_on"].keys() <= told["services"].keys()
        assert (COMPOSE.parent / node["build"]["context"]).resolve() == ROOT
        assert node["read_only"]
        assert node["cap_drop"] == ["ALL"]
    mounts = [
        each.split(":") for one in told["services"].values() for each in one.get("volumes", ())
    ]
    for source, *_ in mounts:
        assert source in told["volumes"] or (COMPOSE.parent / source).exists(), source
    assert told["services"]["haproxy"]["ports"] == [f"127.0.0.1:{PORT}:80"]


def test_secrets_of_compose(tmp_path: Path) -> None:
    """The script makes each secret that is named, and none twice."""
    script = tmp_path / "secrets.sh"
    script.write_text((DEPLOY / "cluster" / "secrets.sh").read_text())
    subprocess.run(["sh", script], check=True)
    assert {each.name for each in (tmp_path / "secrets").iterdir()} == set(compose()["secrets"])
    variables = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    assert set(variables) == set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text()))
    assert len(set(variables.values())) == len(variables)
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    again = subprocess.run(["sh", script], check=False, capture_output=True, text=True)
    assert (again.returncode, "are there already" in again.stderr) == (1, True)


def test_names_in_texts_are_settings() -> None:
    """Each name of a setting, in whichever file of deploy, is one; each probe is answered."""
    for path in (
        each for each in DEPLOY.rglob("*") if each.is_file() and "grafana" not in str(each)
    ):
        text = path.read_text()
        for name in re.findall(rf"\b{PREFIX}[A-Z_]+\b", text):
            known = {each.variable for each in BY_SETTING.values()} | {f"{PREFIX}NATS_PASSWORD"}
            assert name in known, f"{path}: {name}"
        assert set(re.findall(r"/health/[a-z]+", text)) <= PROBES, path


@pytest.mark.parametrize("name", ["nats", "kubernetes/nats", "kubernetes/overlays/trial"])
def test_nats_reads_its_configuration(name: str, tmp_path: Path) -> None:
    """The server takes each file; the account is one and the same."""
    account = (DEPLOY / "nats" / "account.conf").read_text()
    assert (KUBERNETES / "nats" / "account.conf").read_text() == account
    (tmp_path / "account.conf").write_text(account)
    text = (DEPLOY / name / "nats-server.conf").read_text()
    (tmp_path / "nats-server.conf").write_text(text)
    variables = {"NATS_NAME": "nats-1", "GREENROOM_NATS_PASSWORD": "x"}
    ended = subprocess.run(
        [NEWEST, "-t", "-c", tmp_path / "nats-server.conf"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
