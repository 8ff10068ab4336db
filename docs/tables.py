"""Write the tables of the reference pages from the tables in the code.

A page holds `<!-- table: NAME -->` and `<!-- end -->`; what stands between them is made here.
`python docs/tables.py` rewrites the pages; a test fails while they differ from the code.
"""

import ast
import inspect
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from greenroom.aws import query_service, query_xml
from greenroom.aws.own_service import OPERATIONS as OWN_MODEL
from greenroom.aws.service import OPERATIONS
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main as command_line
from greenroom.cli.operations.models import operations, services
from greenroom.cli.room.command import rooms
from greenroom.control.greenroom.operations import OPERATIONS as OWN_OPERATIONS
from greenroom.control.greenroom.operations import GreenroomOperation
from greenroom.control.iam.operations import OPERATIONS as OPERATIONS_OF_IAM
from greenroom.model import errors, iam_errors, identity_errors
from greenroom.model.quotas import QUOTAS, RateProfile
from greenroom.model.room_settings import ROOM_SETTINGS
from greenroom.model.token_attributes import ATTRIBUTES
from greenroom.model.token_attributes import PREFIX as PREFIX_OF_OWN
from greenroom.policies import greenroom_access
from greenroom.policies.iam_access import IDENTITY_ACCESS
from greenroom.policies.ivschat_access import ACCESS, PREFIX
from greenroom.policies.request_context import GLOBAL_KEYS, OWN_KEYS
from greenroom.policies.text import MalformedPolicyDocument
from greenroom.protocol.errors import CLOSE_REASONS, DESCRIPTIONS
from greenroom.protocol.handshake import Refusal
from greenroom.protocol.own_actions import OWN_ACTIONS
from greenroom.review.target import Failure
from greenroom.settings.table import BY_SETTING, SETTINGS
from greenroom.telemetry.cloudwatch import PUBLISHED
from greenroom.telemetry.metrics import Metrics

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
REFERENCE = DOCS / "reference"
PAGES = (*sorted(REFERENCE.glob("*.md")), DOCS / "explanation" / "architecture.md")
"""Where tables stand."""

_PLACE = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rewritten(page: str) -> str:
    """Return a page's text with every table made anew."""
    return _PLACE.sub(lambda place: place[1] + TABLES[place["name"]]() + place[3], page)


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def _settings() -> str:
    return _table(
        ("setting", "variable", "default", "meaning"),
        (
            (f"`{each.name}`", f"`{each.variable}`", _default(each.default), each.meaning)
            for each in SETTINGS
        ),
    )


def _default(value: object) -> str:
    return "none" if value in (None, {}, ()) else f"`{value}`"


def _quotas() -> str:
    return _table(
        ("quota", "default", "AWS", "limits"),
        (
            (f"`{each.name}`", each.value(RateProfile.RELAXED), each.aws, each.meaning)
            for each in QUOTAS
        ),
    )


def _exit_codes() -> str:
    return _table(("code", "meaning"), ((int(code), code.meaning) for code in ExitCode))


def _operations() -> str:
    return _table(
        ("operation", "request", "status", "errors"),
        (
            (each.name, f"`{each.method} {each.path}`", each.status, ", ".join(sorted(each.errors)))
            for each in OPERATIONS.values()
        ),
    )


def _api_errors() -> str:
    kinds = [
        kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type)
        and issubclass(kind, errors.ServiceError)
        and not name.startswith("_")
        and kind not in (errors.ServiceError, errors.AuthenticationError)
    ]
    return _table(
        ("error", "status", "meaning"),
        ((f"`{kind.__name__}`", kind.status, _first_line(kind)) for kind in kinds),
    )


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").partition("\n")[0]


def _messaging_errors() -> str:
    return _table(
        ("ErrorCode", "meaning"), ((int(code), text) for code, text in DESCRIPTIONS.items())
    )


def _close_reasons() -> str:
    return _table(
        ("name in logs", "close code", "when"),
        (
            (f"`{name}`", "none: dropped" if each.code is None else int(each.code), each.meaning)
            for name, each in CLOSE_REASONS.items()
        ),
    )


def _refusals() -> str:
    refusals = sorted((each.error() for each in Refusal), key=lambda refused: refused.status)
    return _table(
        ("status", "`x-amzn-ErrorType`", "`ErrorMessage`"),
        ((each.status, f"`{each.name}`", each.message) for each in refusals),
    )


def _cloudwatch() -> str:
    samples = {entry.name.removesuffix("_total"): entry for entry in Metrics().table}
    return _table(
        ("metric", "dimension", "in `/metrics`", "meaning"),
        (
            (f"`{each.name}`", each.dimension or "none", f"`{sample.name}`", sample.meaning)
            for each, sample in ((each, samples[name]) for name, each in PUBLISHED.items())
        ),
    )


def _metrics() -> str:
    return _table(
        ("metric", "kind", "labels", "meaning"),
        (
            (
                f"`{each.name}`",
                each.kind,
                ", ".join(f"`{label}`" for label in each.labels),
                each.meaning,
            )
            for each in Metrics().table
        ),
    )


def _review_failures() -> str:
    return _table(
        ("name in logs", "meaning"), ((f"`{each.value}`", each.meaning) for each in Failure)
    )


def _access() -> str:
    return _table(
        ("action", "resource", "tags that conditions can look at"),
        (
            (
                f"`{PREFIX}:{name}`",
                " or ".join(f"`{type_}/{'ID' if each.parameter else '*'}`" for type_ in each.types),
                ", ".join(
                    kind
                    for kind, present in (
                        ("of the resource", each.parameter is not None),
                        ("in the request", each.tags == "tags"),
                        ("keys in the request", each.tags is not None),
                    )
                    if present
                ),
            )
            for name, each in ACCESS.items()
        ),
    )


def _greenroom_operations() -> str:
    shown = {"account": "ACCOUNT", "keyId": "ID", "identity": "…", "room": "the room's ARN"}
    return _table(
        ("action", "request", "resource", "in the audit log"),
        (
            (
                f"`{greenroom_access.PREFIX}:{name}`",
                f"`POST {OWN_MODEL[name].path}`",
                f"`{greenroom_access.GREENROOM_ACCESS[name].format(**shown)}`",
                _audited(each),
            )
            for name, each in OWN_OPERATIONS.items()
        ),
    )


def _audited(operation: GreenroomOperation) -> str:
    if operation.reveals_with:
        return f"with `{operation.reveals_with}`"
    return "" if operation.reads else "yes"


def _condition_keys() -> str:
    return _table(("key", "value"), ((f"`{name}`", meaning) for name, meaning in _KEYS.items()))


_KEYS = {**GLOBAL_KEYS, **OWN_KEYS}


def _room_settings() -> str:
    return _table(
        ("setting", "tag", "value", "default", "meaning"),
        (
            (
                f"`{each.name}`",
                "none" if each.longest else f"`{each.tag}`",
                each.rule.removeprefix("must be "),
                f"`{each.text(each.default)}`" if each.default != () else "none",
                each.meaning,
            )
            for each in ROOM_SETTINGS
        ),
    )


def _token_attributes() -> str:
    return _table(
        ("attribute", "meaning"),
        ((f"`{PREFIX_OF_OWN}{name}`", meaning) for name, (_, meaning) in ATTRIBUTES.items()),
    )


def _own_actions() -> str:
    return _table(
        ("action", "needs", "the same over HTTP", "meaning"),
        (
            (
                f"`{each.name}`",
                f"`{each.capability}`" if each.capability else "nothing",
                f"`{each.operation}`",
                " ".join((each.__doc__ or "").partition("\n\n")[0].split()),
            )
            for each in OWN_ACTIONS
        ),
    )


_RAISED = {
    *("DeleteConflict", "EntityAlreadyExists", "InvalidInput", "LimitExceeded", "NoSuchEntity"),
    *("MalformedPolicyDocument", "PackedPolicyTooLarge"),
}
"""Of the errors that the models of IAM and STS declare, those that are known here."""


def _iam_operations() -> str:
    rows = []
    for action, each in OPERATIONS_OF_IAM.items():
        access = IDENTITY_ACCESS.get(action)
        errors = query_service.operation(*action.split(":")).errors & _RAISED
        rows.append(
            (
                f"`{action}`",
                "none needed" if access is None else f"`{access.target}`",
                "yes" if each.changes or each.issues else "",
                ", ".join(sorted(errors)),
            )
        )
    return _table(("action", "resource", "in the audit log", "errors"), rows)


def _query_errors() -> str:
    kinds: list[type[errors.ServiceError]] = [
        kind
        for module in (identity_errors, iam_errors)
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, identity_errors.IdentityError)
        and kind.__module__ == module.__name__
        and kind is not identity_errors.IdentityError
    ]
    kinds.append(MalformedPolicyDocument)
    rows = {kind.__name__: (kind.status, _first_line(kind)) for kind in kinds}
    for name, (code, status) in query_xml.CODES.items():
        if name != "ValidationException":
            rows[code] = (status, _first_line(getattr(errors, name)))
    return _table(
        ("error", "status", "meaning"), ((f"`{code}`", *rows[code]) for code in sorted(rows))
    )


LIMITS = {
    "handshake_timeout_seconds": "408 for a request's headers or its body; 503 for an upgrade that"
    " waits for the store; a TLS handshake or a PROXY header is cut off, and so is a client that"
    " does not read the answers to its requests",
    "head_bytes": "431, and the connection is closed; it holds, too, for what a body in chunks has"
    " between two parts of its content",
    "header_count": "431, and the connection is closed",
    "request_bodies_bytes": "503 for a body of more than 16 KiB that finds no place, the SDKs retry"
    " it; a single body of more than 1 MiB, of IAM and STS of more than 384 KiB, gets 413",
    "frame_bytes": "close code 1009; it holds for a frame and for the message of its fragments",
    "outbound_queue_bytes": "the reader is dropped without a close frame (`slow_reader`)",
    "ping_interval_seconds": "a peer that is silent for two of them is dropped (`silent_peer`)",
    "close_timeout_seconds": "the connection is reset",
    "memory_bytes": "upgrades get 503, `MEMORY_FULL`, until the process uses 5 % less; the token"
    " stays good, and those who are connected go on",
    "connections_per_node": "upgrades get 503, `NODE_FULL`; the API goes on. Sockets of any kind"
    " are bounded by this and `unfinished_connections` together: further ones are closed",
    "connections_per_room": "upgrades get 429, `ROOM_FULL`; the token stays good",
    "connections_per_user": "upgrades get 429, `USER_FULL`; the token stays good",
    "connections_per_address": "closed before anything is read; behind a trusted proxy upgrades get"
    " 429, `ADDRESS_FULL`",
    "new_connections_per_second": "further ones wait for their turn, up to half the handshake"
    " timeout; those whose turn would be later are closed",
    "new_connections_per_second_per_address": "closed before anything is read; behind a trusted"
    " proxy upgrades get 429, `ADDRESS_FULL`",
    "unfinished_connections": "the oldest of them is closed, the new one is served; at most half of"
    " the descriptors that the process may open",
    "unfinished_connections_per_address": "closed before anything is read; behind a trusted proxy"
    " upgrades get 429, `ADDRESS_FULL`",
}
"""The limits of the edge: what happens there."""


def _limits() -> str:
    return _table(
        ("limit", "default", "what happens there"),
        (
            (f"`{name}`", _default(BY_SETTING[name].default), happens)
            for name, happens in LIMITS.items()
        ),
    )


def _layers() -> str:
    """Return the layers as import-linter holds them, with the pure ones marked."""
    layers, pure = _contract("Imports point down")["layers"], _pure()
    width = max(map(len, layers))
    rows = []
    for row in layers:
        names = row.split(" | ")
        mark = "pure" if set(names) <= pure else ""
        rows.append(f"{row:{width}}  {mark}".rstrip())
    return "```text\n" + "\n".join(rows) + "\n```\n"


def _packages() -> str:
    """Return what each package is for, in its own words, from the top layer down."""
    rows = []
    for row in _contract("Imports point down")["layers"]:
        for name in row.split(" | "):
            place = ROOT / "src" / "greenroom" / name
            module = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            said = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
            rows.append((f"`{name}`", said.partition("\n\n")[0].replace("\n", " ")))
    return _table(("package", "what it is for"), rows)


def _contract(beginning: str) -> dict[str, list[str]]:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    contracts = tools["importlinter"]["contracts"]
    found: dict[str, list[str]] = next(c for c in contracts if c["name"].startswith(beginning))
    return found


def _pure() -> set[str]:
    return {name.removeprefix("greenroom.") for name in _contract("Pure")["source_modules"]}


_OF_SERVICE = ("data_dir", "config_file", "endpoint_url", "profile", "region")
"""Options of every command that speaks to a service: they stand on the page once."""


def _commands() -> str:
    """Return every command: how it is called, what it does, and its own options."""
    root = click.Context(command_line, info_name="greenroom")
    return "\n".join(_command(command_line, root))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    path = context.command_path
    if isinstance(command, click.Group) and path != "greenroom":
        yield f"## {path}\n"
        yield _prose(command)
    if path == "greenroom api":
        yield from _operation_names()
    elif isinstance(command, click.Group):
        # Commands first, and then groups: each group has a section.
        names = command.list_commands(context)
        found = {name: each for name in names if (each := command.get_command(context, name))}
        for name in sorted(found, key=lambda name: isinstance(found[name], click.Group)):
            inner = click.Context(found[name], parent=context, info_name=name)
            yield from _command(found[name], inner)
    else:
        yield f"### {path}\n"
        pieces = " ".join(command.collect_usage_pieces(context)).replace("[OPTIONS]", "[OPTION]…")
        yield f"`{path} {pieces}`\n"
        yield _prose(command)
        yield from _options(command, context)


def _prose(command: click.Command) -> str:
    text = inspect.cleandoc(command.help or "")
    # What click is to leave as it is, is a block.
    parts = re.split(r"\x08\n(.+?)(?=\n\n|\Z)", text, flags=re.DOTALL)
    parts[::2] = [re.sub(r"(?<![`\w-])(--[a-z][a-z-]*)", r"`\1`", part) for part in parts[::2]]
    parts[1::2] = [f"```text\n{part}\n```" for part in parts[1::2]]
    return "".join(parts) + "\n"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    shared = {name for name in _OF_SERVICE if "endpoint_url" in {p.name for p in command.params}}
    own = [
        each
        for each in command.get_params(context)
        if isinstance(each, click.Option)
        and each.name not in {*shared, "verbose"}
        and "--help" not in each.opts
    ]
    rows = [each.get_help_record(context) for each in own]
    if rows:
        yield _table(
            ("option", "meaning"),
            ((f"`{name}`".replace("|", "\\|"), text) for name, text in filter(None, rows)),
        )
    if shared:
        yield "And the options [of commands that speak to a service](#which-service).\n"


def _operation_names() -> Iterator[str]:
    for name, version in services().items():
        listed = ", ".join(f"`{each}`" for each in operations(name))
        yield f"### greenroom api {name}\n"
        yield f"Version {version}: {listed}.\n"


def _service_options() -> str:
    """Return the options of every command that speaks to a service."""
    context = click.Context(rooms)
    rows = [
        each.get_help_record(context)
        for each in rooms.get_params(context)
        if each.name not in ("in_json", "verbose") and "--help" not in each.opts
    ]
    return _table(("option", "meaning"), ((f"`{n}`", text) for n, text in filter(None, rows)))


TABLES: dict[str, Callable[[], str]] = {
    "settings": _settings,
    "commands": _commands,
    "service-options": _service_options,
    "quotas": _quotas,
    "exit-codes": _exit_codes,
    "operations": _operations,
    "api-errors": _api_errors,
    "messaging-errors": _messaging_errors,
    "close-reasons": _close_reasons,
    "refusals": _refusals,
    "cloudwatch": _cloudwatch,
    "metrics": _metrics,
    "review-failures": _review_failures,
    "access": _access,
    "condition-keys": _condition_keys,
    "greenroom-operations": _greenroom_operations,
    "room-settings": _room_settings,
    "token-attributes": _token_attributes,
    "own-actions": _own_actions,
    "iam-operations": _iam_operations,
    "query-errors": _query_errors,
    "limits": _limits,
    "layers": _layers,
    "packages": _packages,
}

if __name__ == "__main__":
    for path in PAGES:
        path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
