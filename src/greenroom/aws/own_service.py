"""The service model of Greenroom's own API: operations by name and by path, and the model's files.

The files are those that botocore reads (`greenroom install-model`), and the only description of the
API: requests are read, checked and answered by them.
"""

import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from greenroom.aws.service import operations
from greenroom.aws.shapes import Model, Operation

SERVICE = "greenroom"
"""The service that requests are signed for."""

API_VERSION = "2026-12-01"

FILES = ("service-2.json", "paginators-1.json")
"""The files of the model."""

PREFIX = b"/greenroom/"
"""What all paths begin with."""


def file(name: str) -> bytes:
    """Return one of the model's files."""
    text = pkgutil.get_data("greenroom", f"models/{SERVICE}/{API_VERSION}/{name}")
    assert text is not None  # noqa: S101 - they are in the package
    return text


OPERATIONS: Mapping[str, Operation] = operations(
    Model(msgspec.json.decode(file(FILES[0]), type=dict[str, object]))
)
"""The operations by name, in alphabetical order."""

BY_PATH: Mapping[bytes, Operation] = MappingProxyType(
    {each.path.encode(): each for each in OPERATIONS.values()}
)
"""The same by path; the method is POST."""
