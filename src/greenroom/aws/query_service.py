"""The service models of IAM and STS, read when the first of their requests comes.

Only what an operation needs is resolved: IAM's model has ten times the size of the ivschat one.
"""

from functools import lru_cache

import msgspec
from botocore.model import OperationModel, ServiceModel, StructureShape

from greenroom.aws.service import read_model

VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}
"""The services that speak the query protocol, and the version of each."""


class QueryOperation(msgspec.Struct, frozen=True, eq=False):
    """One operation of a service that speaks the query protocol."""

    name: str
    service: str
    namespace: str
    """Of the XML of its answers."""
    input: StructureShape | None
    output: StructureShape | None
    errors: frozenset[str]
    """Codes of the errors that the model declares for the operation."""


@lru_cache(maxsize=256)
def operation(service: str, name: str) -> QueryOperation:
    """Return an operation that the model has."""
    described: OperationModel = model(service).operation_model(name)
    return QueryOperation(
        name=name,
        service=service,
        namespace=namespace(service),
        input=described.input_shape,
        output=described.output_shape,
        errors=frozenset(
            shape.metadata.get("error", {}).get("code", shape.name)
            for shape in described.error_shapes
        ),
    )


def namespace(service: str) -> str:
    """Return the XML namespace of a service's answers, as its model has it."""
    return f"https://{service}.amazonaws.com/doc/{VERSIONS[service]}/"


@lru_cache(maxsize=2)
def model(service: str) -> ServiceModel:
    """Return the model of a service."""
    return ServiceModel(read_model(service, VERSIONS[service]), service)
