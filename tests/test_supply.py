"""What the service is made of: what its audit says, and the list of its parts."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "audit_verdict.py"
SBOM = ROOT / "build" / "sbom.json"
LOCK = ROOT / "requirements" / "runtime.txt"

SOUND = {"name": "click", "version": "8.5.0", "vulns": []}
UNKNOWN = {"name": "attrs", "skip_reason": "Dependency not found on PyPI"}
VULNERABLE = {
    "name": "aiohttp",
    "version": "3.9.0",
    "vulns": [
        {"id": "PYSEC-2024-24", "fix_versions": ["3.9.2"], "aliases": ["CVE-2024-23334"]},
    ],
}


def verdict(tmp_path: Path, *packages: dict[str, Any]) -> tuple[int, str]:
    """Return the exit status and the words for a report of these packages; for none without any."""
    report = tmp_path / "audit-runtime.json"
    if packages:
        report.write_text(json.dumps({"dependencies": packages, "fixes": []}))
    command = [sys.executable, str(SCRIPT), "runtime.txt", str(report)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr


def test_nothing_found(tmp_path: Path) -> None:
    """Without findings the audit is silent and passes."""
    assert verdict(tmp_path, SOUND) == (0, "")


def test_a_finding_fails(tmp_path: Path) -> None:
    """A vulnerability fails the audit with its id and the version that ends it."""
    status, words = verdict(tmp_path, SOUND, VULNERABLE, UNKNOWN)
    assert status == 1
    assert "aiohttp 3.9.0 has PYSEC-2024-24 (CVE-2024-23334), fixed in 3.9.2" in words
    assert "warning: runtime.txt: 1 of 3 packages were not audited" in words


def test_no_network_warns(tmp_path: Path) -> None:
    """What could not be looked up is told, and fails nothing."""
    status, words = verdict(tmp_path)
    assert status == 0
    assert words.startswith("warning: runtime.txt was not audited")
    status, words = verdict(tmp_path, UNKNOWN)
    assert (status, words[:8]) == (0, "warning:")


def test_every_part_is_listed() -> None:
    """The list of parts has each locked package in its version and with its hashes, and no other.

    `make audit` writes the list.
    """
    if not SBOM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("build/sbom.json is missing: scripts/audit writes it")
        pytest.skip("needs build/sbom.json: make audit")
    listed = json.loads(SBOM.read_text())
    assert listed["bomFormat"] == "CycloneDX"
    assert listed["metadata"]["component"]["name"] == "greenroom"
    pins = dict(
        re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==([^\s;]+)", LOCK.read_text(), re.MULTILINE)
    )
    parts = {each["name"]: each["version"] for each in listed["components"]}
    assert parts == pins, "build/sbom.json is of another lock: make audit"
    for part in listed["components"]:
        assert part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}"
        assert any(each.get("hashes") for each in part["externalReferences"]), part["name"]
