"""The service models of IAM and STS, read when the first of their requests comes.

Only what an operation needs is resolved: IAM's model has ten times the size of the ivschat one.
"""

from functools import lru_cache

import msgspec

from greenroom.aws.shapes import Model, StructureShape, read_model

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
    described = model(service).operation(name)
    return QueryOperation(
        name=name,
        service=service,
        namespace=namespace(service),
        input=described.input,
        output=described.output,
        errors=frozenset(
            shape.metadata.get("error", {}).get("code", shape.name) for shape in described.errors
        ),
    )


def namespace(service: str) -> str:
    """Return the XML namespace of a service's answers, as its model has it."""
    return f"https://{service}.amazonaws.com/doc/{VERSIONS[service]}/"


@lru_cache(maxsize=2)
def model(service: str) -> Model:
    """Return the model of a service."""
    return Model(read_model(service, VERSIONS[service]))
