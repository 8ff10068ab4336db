"""Which destination takes the records of a target: AWS's services, or files.

The setting `chat_log_destinations` says so by patterns of `KIND:NAME`, in which `*` stands for any
text and `?` for one character; the first that matches counts. `auto`, and no pattern, mean AWS
where the service has an endpoint in the settings or credentials are found, and files elsewhere. It
is decided once per kind and process: records do not change their place because credentials come or
go.
"""

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from greenroom.aws_access.clients import AwsAccess, Service
from greenroom.chatlog.base import Destination, Record, Target
from greenroom.chatlog.cloudwatch_logs import CloudWatchLogsDestination
from greenroom.chatlog.failures import as_destination_failures
from greenroom.chatlog.files import FilesDestination
from greenroom.chatlog.firehose import FirehoseDestination
from greenroom.chatlog.s3 import S3Destination
from greenroom.model.logging_configuration import DestinationKind
from greenroom.policies.wildcards import glob, tokens
from greenroom.process.randomness import new_id
from greenroom.settings.values import Settings, SettingsRefused

SERVICES = {
    DestinationKind.S3: Service.S3,
    DestinationKind.CLOUD_WATCH_LOGS: Service.LOGS,
    DestinationKind.FIREHOSE: Service.FIREHOSE,
}
"""Who takes a kind's records."""

log = structlog.get_logger()


def endpoints(settings: Settings) -> dict[Service, str]:
    """Return the endpoints that the settings name."""
    named = {service: settings.optional_text(service.setting) for service in Service}
    return {service: url for service, url in named.items() if url is not None}


class Destinations:
    """The destinations of a process, one per kind."""

    def __init__(self, kinds: Mapping[DestinationKind, Destination], place: "LogDirectory") -> None:
        self._kinds = kinds
        self._place = place

    def destination_for(self, target: Target) -> Destination:
        """Return what takes the target's records."""
        return self._kinds[target.kind]

    async def close(self) -> None:
        """Let go of threads and files; the access to AWS stays open."""
        for destination in self._kinds.values():
            await destination.close()
        await asyncio.to_thread(self._place.close)


def open_destinations(settings: Settings, access: AwsAccess) -> Destinations:
    """Return the destinations that the settings ask for; nothing is called or written yet.

    Raises:
        SettingsRefused: the directory of chat logs is something else, or the nodes of a cluster
            have none in common.
    """
    patterns = settings.table("chat_log_destinations")
    place = LogDirectory(_directory(settings))
    object_seconds = settings.number("chat_log_object_seconds")
    batch_seconds = settings.number("chat_log_batch_seconds")
    object_bytes = settings.number("chat_log_object_bytes")
    writer = "" if settings.database is None else new_id()
    remote: dict[DestinationKind, Destination] = {
        DestinationKind.S3: S3Destination(access, object_seconds, object_bytes),
        DestinationKind.CLOUD_WATCH_LOGS: CloudWatchLogsDestination(access, batch_seconds),
        DestinationKind.FIREHOSE: FirehoseDestination(access, batch_seconds),
    }
    kinds: dict[DestinationKind, Destination] = {
        kind: ChosenDestination(
            kind,
            destination,
            FilesDestination(place, destination.interval_seconds, destination.batch_bytes, writer),
            access,
            patterns,
        )
        for kind, destination in remote.items()
    }
    return Destinations(kinds, place)


class LogDirectory:
    """The directory of log objects; None is a private one that lasts as long as the process."""

    def __init__(self, given: Path | None) -> None:
        self._given = given
        self._temporary: Path | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Path:
        """Return the directory; a private one is made now. Safe to call in any thread."""
        if self._given is not None:
            return self._given
        with self._lock:
            if self._temporary is None:
                self._temporary = Path(tempfile.mkdtemp(prefix="greenroom-chat-logs-"))
                log.warning(
                    "chat logs last as long as this process", directory=str(self._temporary)
                )
            return self._temporary

    def close(self) -> None:
        """Remove a private directory."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None


class ChosenDestination:
    """One kind of destination: AWS's service or files, as each target's name says."""

    def __init__(
        self,
        kind: DestinationKind,
        remote: Destination,
        files: Destination,
        access: AwsAccess,
        patterns: Mapping[str, str],
    ) -> None:
        self.interval_seconds = remote.interval_seconds
        self.batch_bytes = remote.batch_bytes
        self._kind = kind
        self._remote = remote
        self._files = files
        self._access = access
        self._patterns = [(glob(tokens(pattern)), word) for pattern, word in patterns.items()]
        self._automatic: Destination | None = None
        self._announced: set[bool] = set()

    async def check(self, target: Target) -> None:
        await (await self._chosen(target)).check(target)

    async def deliver(self, target: Target, records: Sequence[Record]) -> int:
        return await (await self._chosen(target)).deliver(target, records)

    async def close(self) -> None:
        await self._remote.close()
        await self._files.close()

    async def _chosen(self, target: Target) -> Destination:
        name = f"{target.kind}:{target.name}"
        words = (word for matches, word in self._patterns if matches(name))
        word = next(words, "auto")
        if word == "auto":
            chosen = await self._decided()
        else:
            chosen = self._remote if word == "aws" else self._files
        self._announce(target, chosen is self._files, word)
        return chosen

    async def _decided(self) -> Destination:
        if self._automatic is None:
            with as_destination_failures():
                has_endpoint = self._access.has_endpoint(SERVICES[self._kind])
                at_hand = has_endpoint or await self._access.credentials() is not None
            if at_hand and not has_endpoint:
                log.warning(
                    "chat logs of this kind go to AWS because AWS credentials were found: say so"
                    " with chat_log_destinations, or say files",
                    kind=str(self._kind),
                )
            self._automatic = self._remote if at_hand else self._files
        return self._automatic

    def _announce(self, target: Target, to_files: bool, word: str) -> None:
        if to_files not in self._announced:
            self._announced.add(to_files)
            log.info(
                "chat logs of this kind go there",
                kind=str(self._kind),
                first=target.name,
                where="files" if to_files else "AWS or its endpoint",
                setting=word,
            )


def _directory(settings: Settings) -> Path | None:
    given = settings.optional_path("chat_log_dir")
    if given is None and settings.database is not None:
        if _may_be_files(settings):
            raise SettingsRefused(
                "chat logs may go to files, and in a cluster these need a directory that its nodes"
                " share: give chat_log_dir, or send all to AWS with chat_log_destinations *=aws"
            )
        return None
    if given is None and settings.text("storage") != "memory":
        return settings.path("data_dir") / "chat-logs"
    if given is not None and settings.database is not None and not os.path.lexists(given):
        raise SettingsRefused(
            f"chat_log_dir {given} does not exist: in a cluster it is a directory that all nodes"
            " share, which has to be mounted, or made, before they start"
        )
    there = None if given is None else nearest(given)
    if there is not None and not there.is_dir():
        below = "" if there == given else f"lies below {there}, which "
        raise SettingsRefused(f"chat_log_dir {given} {below}is not a directory")
    return given


def _may_be_files(settings: Settings) -> bool:
    """Return whether records of some target may go to files, whatever credentials are found."""
    patterns = settings.table("chat_log_destinations")
    if "files" in patterns.values():
        return True
    named = endpoints(settings)
    # What no pattern before says is said by `*`, else it is automatic.
    rest = patterns.get("*", "auto")
    automatic = rest == "auto" or "auto" in patterns.values()
    return automatic and not all(service in named for service in SERVICES.values())


def nearest(path: Path) -> Path:
    """Return the part of a path that is there: itself, or the nearest of those above it."""
    return next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))
