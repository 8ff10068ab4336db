"""Tell a logger of each request, without what nobody should read there."""

import logging
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from greenroom.aws.shapes import ListShape, MapShape, Operation, Shape, StructureShape
from greenroom.client.api.requests import snake

SENSITIVE = "***SensitiveInformation***"

_CONTENT = frozenset({"attributes", "reason"})
"""Members that the model does not call sensitive, and that hold what is said in rooms."""


@runtime_checkable
class Writer(Protocol):
    """A stream."""

    def write(self, text: str, /) -> object:
        """Write a line."""
        ...


@runtime_checkable
class Log(Protocol):
    """What has a `log`, as JavaScript's console."""

    def log(self, text: str, /) -> object:
        """Write a line."""
        ...


Logger = logging.Logger | Writer | Log


def report(
    logger: Logger,
    service: str,
    operation: Operation,
    params: Mapping[str, object],
    status: int | None,
    seconds: float,
    retries: int,
) -> None:
    """Write one line on a request that is over."""
    shown = ", ".join(
        f"{snake(name)}={_shown(operation.input.members.get(name), name, value)!r}"
        for name, value in params.items()
    )
    line = f"[AWS {service} {status or '-'} {seconds:.3f}s {retries} retries]"
    line += f" {snake(operation.name)}({shown})"
    if isinstance(logger, logging.Logger):
        logger.info("%s", line)
    elif isinstance(logger, Log):
        logger.log(line)
    else:
        logger.write(line + "\n")


def _shown(shape: Shape | None, name: str, value: object) -> object:
    if shape is None or shape.metadata.get("sensitive") or name in _CONTENT:
        return SENSITIVE
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        return {
            key: _shown(shape.members.get(str(key)), str(key), each) for key, each in value.items()
        }
    if isinstance(shape, MapShape) and isinstance(value, Mapping):
        return {key: _shown(shape.value, "", each) for key, each in value.items()}
    if isinstance(shape, ListShape) and isinstance(value, list | tuple):
        return [_shown(shape.member, "", each) for each in value]
    return value
