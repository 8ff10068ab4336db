"""Our reading of service models, held against botocore's."""

from typing import Any

import botocore.model
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from greenroom.aws.query_service import VERSIONS
from greenroom.aws.service import API_VERSION
from greenroom.aws.shapes import (
    ListShape,
    MapShape,
    Model,
    Shape,
    StringShape,
    StructureShape,
    read_model,
)

TRAITS = ("min", "max", "pattern", "union", "error")


def ours(shape: Shape) -> tuple[Any, ...]:
    """Return all that a shape says, as plain values."""
    below: Any = None
    if isinstance(shape, StructureShape):
        members = [(name, ours(member)) for name, member in shape.members.items()]
        below = members, list(shape.required_members)
    elif isinstance(shape, ListShape):
        below = ours(shape.member)
    elif isinstance(shape, MapShape):
        below = ours(shape.key), ours(shape.value)
    elif isinstance(shape, StringShape):
        below = list(shape.enum)
    traits = {name: shape.metadata[name] for name in TRAITS if name in shape.metadata}
    return shape.name, shape.type_name, traits, dict(shape.serialization), below


def theirs(shape: Any) -> tuple[Any, ...]:
    """Return the same of a shape of botocore's."""
    below: Any = None
    if isinstance(shape, botocore.model.StructureShape):
        members = [(name, theirs(member)) for name, member in shape.members.items()]
        below = members, list(shape.required_members)
    elif isinstance(shape, botocore.model.ListShape):
        below = theirs(shape.member)
    elif isinstance(shape, botocore.model.MapShape):
        below = theirs(shape.key), theirs(shape.value)
    elif isinstance(shape, botocore.model.StringShape):
        below = list(shape.enum)
    traits = {name: shape.metadata[name] for name in TRAITS if name in shape.metadata}
    known = ("name", "location", "resultWrapper")
    serialization = {
        name: shape.serialization[name] for name in known if name in shape.serialization
    }
    return shape.name, shape.type_name, traits, serialization, below


@pytest.mark.parametrize("service", ["ivschat", *VERSIONS])
def test_operations_are_described_as_botocore_describes_them(service: str) -> None:
    """Every operation, with every shape below it."""
    model = Model(read_model(service, VERSIONS.get(service, API_VERSION)))
    reference = ServiceModel(Loader().load_service_model(service, "service-2"), service)
    assert model.operation_names == list(reference.operation_names)
    for name in model.operation_names:
        operation, expected = model.operation(name), reference.operation_model(name)
        assert operation.http == expected.http
        for shape, wanted in (
            (operation.input, expected.input_shape),
            (operation.output, expected.output_shape),
        ):
            assert (shape and ours(shape)) == (wanted and theirs(wanted)), name
        assert [ours(each) for each in operation.errors] == [
            theirs(each) for each in expected.error_shapes
        ]
