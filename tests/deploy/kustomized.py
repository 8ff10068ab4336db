"""What kustomize makes of an overlay: as much of it as the overlays here use, and no more."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it has no types

Manifest = dict[str, Any]

KNOWN = {"apiVersion", "kind", "resources", "images", "replicas", "patches", "configMapGenerator"}


def build(folder: Path) -> list[Manifest]:
    """Return the manifests of a folder with a `kustomization.yaml`."""
    told = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(told) <= KNOWN, set(told) - KNOWN
    made: list[Manifest] = []
    for name in told["resources"]:
        path = folder / name
        made += build(path) if path.is_dir() else _read(path)
    for each in told.get("configMapGenerator", ()):
        _generate(made, folder, each)
    for each in told.get("replicas", ()):
        (found,) = (one for one in made if "replicas" in one.get("spec", {}) and _is(one, each))
        found["spec"]["replicas"] = each["count"]
    for each in told.get("images", ()):
        _replace_image(made, each)
    for each in told.get("patches", ()):
        (found,) = (one for one in made if _is(one, each["target"]))
        for step in yaml.safe_load(each["patch"]):
            _apply(found, step)
    return made


def _read(path: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(path.read_text()))


def _is(manifest: Manifest, wanted: Manifest) -> bool:
    kind = wanted.get("kind", manifest["kind"])
    return (manifest["kind"], manifest["metadata"]["name"]) == (kind, wanted["name"])


def _generate(made: list[Manifest], folder: Path, told: Manifest) -> None:
    data = {name: (folder / name).read_text() for name in told["files"]}
    if told.get("behavior") == "merge":
        (found,) = (one for one in made if one["kind"] == "ConfigMap" and _is(one, told))
        found["data"] |= data
        return
    metadata = {"name": told["name"]}
    made.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _replace_image(made: Sequence[Manifest], told: Manifest) -> None:
    changed = [each for one in made for each in containers(one) if each["image"] == told["name"]]
    assert changed
    for each in changed:
        each["image"] = f"{told['newName']}:{told['newTag']}"


def containers(manifest: Manifest) -> list[Manifest]:
    """Return the containers of a manifest, none where it has no pods."""
    found: list[Manifest] = pod(manifest).get("containers", [])
    return found


def pod(manifest: Manifest) -> Manifest:
    """Return what a manifest's pods are, {} where it has none."""
    found: Manifest = manifest.get("spec", {}).get("template", {}).get("spec", {})
    return found


def _apply(manifest: Any, step: Manifest) -> None:
    """Apply a step of a JSON patch (RFC 6902): `add` or `replace` of a member."""
    *way, last = step["path"].strip("/").split("/")
    for name in way:
        manifest = manifest[name]
    assert step["op"] in {"add", "replace"}
    assert (last in manifest) == (step["op"] == "replace"), step["path"]
    manifest[last] = copy.deepcopy(step["value"])
