"""The services whose models are shipped, and their operations by the names of the AWS CLI.

IVS Chat, IAM and STS are in botocore; models of Greenroom's own lie in `OWN`, in the same form.
"""

import html
import json
import pkgutil
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec
from botocore import xform_name

import greenroom
from greenroom.aws.query_service import VERSIONS
from greenroom.aws.shapes import Model, Shape, read_model
from greenroom.policies.iam_access import FREE_ACTIONS, IDENTITY_ACCESS

IVSCHAT = {"ivschat": "2020-07-14"}

OWN = Path(greenroom.__file__).parent / "models"
"""Where models of Greenroom's own are: SERVICE/VERSION/service-2.json, as botocore has its own."""

ONLY_ACTIONS = frozenset(
    {
        *("iam:GetAccountSummary", "iam:TagPolicy", "iam:UntagPolicy", "iam:UpdateRoleDescription"),
        *("iam:UpdateUser", "sts:TagSession"),
    }
)
"""What policies may speak of, although there is no such operation. (What there is would take long
to import.)"""

_TAG = re.compile(r"<[^>]*>")
_SENTENCE = re.compile(r".+?\.(?=\s|$)", re.DOTALL)


class Service(msgspec.Struct, frozen=True, eq=False):
    """A service, its model, and its operations by their names on the command line."""

    name: str
    version: str
    description: Mapping[str, object]
    model: Model
    operations: Mapping[str, str]

    @property
    def is_own(self) -> bool:
        """Return whether it is Greenroom's own, which botocore does not know."""
        return self.name not in IVSCHAT | VERSIONS


def services() -> Mapping[str, str]:
    """Return the version of each service, by its name."""
    own = sorted(OWN.glob("*/*/service-2.json"))
    return IVSCHAT | VERSIONS | {path.parts[-3]: path.parts[-2] for path in own}


@lru_cache(maxsize=8)
def service(name: str) -> Service:
    """Return a service; its model is read."""
    version = services()[name]
    own = OWN / name / version / "service-2.json"
    if own.exists():
        description = msgspec.json.decode(own.read_bytes(), type=dict[str, object])
    else:
        description = read_model(name, version)
    model = Model(description)
    return Service(name, version, description, model, _named(model.operation_names, name))


def owners(operation: str) -> list[str]:
    """Return the services that have an operation of this name."""
    return [name for name in services() if operation in operations(name)]


def operations(name: str) -> Mapping[str, str]:
    """Return a service's operations, by their names on the command line."""
    if name in VERSIONS:  # their models are large
        return _named((action.rpartition(":")[2] for action in _actions(name)), name)
    return service(name).operations


def about(of: Service, operation: str) -> str:
    """Return what the model says of an operation, in its first sentence."""
    described = msgspec.convert(of.description["operations"], dict[str, dict[str, object]])
    text = str(described[of.operations[operation]].get("documentation", ""))
    plain = " ".join(html.unescape(_TAG.sub("", text)).split())
    found = _SENTENCE.match(plain)
    return found.group() if found else plain


def pages_of(of: Service, operation: str) -> Mapping[str, object] | None:
    """Return how the pages of a list are asked for, where that is known."""
    file = f"{of.name}/{of.version}/paginators-1.json"
    own = OWN / file
    try:
        text = own.read_bytes() if of.is_own else pkgutil.get_data("botocore", f"data/{file}")
    except FileNotFoundError:
        return None
    known = json.loads(text or b"{}").get("pagination", {})
    found: Mapping[str, object] | None = known.get(of.operations[operation])
    return found


def option_of(member: str) -> str:
    """Return the option for a member of a request: `--message-review-handler`."""
    return f"--{xform_name(member, '-')}"


def is_complex(shape: Shape) -> bool:
    """Return whether a value has parts."""
    return shape.type_name in ("structure", "map", "list")


def _named(names: Iterable[str], service_name: str) -> Mapping[str, str]:
    served = _actions(service_name) if service_name in VERSIONS else None
    return {
        xform_name(name, "-"): name
        for name in sorted(names)
        if served is None or f"{service_name}:{name}" in served
    }


def _actions(service_name: str) -> set[str]:
    every = (IDENTITY_ACCESS.keys() | FREE_ACTIONS) - ONLY_ACTIONS
    return {action for action in every if action.startswith(f"{service_name}:")}
