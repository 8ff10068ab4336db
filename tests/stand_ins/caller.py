"""The control plane in memory, and a client that signs: only the socket is missing."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from greenroom.audit.log import AuditLog
from greenroom.aws import own_service
from greenroom.aws.service import OPERATIONS
from greenroom.aws.signature.sigv4 import Request, sign
from greenroom.chat.chat import Chat
from greenroom.chat.deletions import Deletions
from greenroom.chat.kept_messages import KeptMessages
from greenroom.chat.moderation import Moderation
from greenroom.chat.originals import Originals
from greenroom.chat.pins import Pins
from greenroom.chat.posting import Posting
from greenroom.chat.presence import Alone
from greenroom.chat.replies import Replies
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.role_changes import RoleChanges
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chat.schedules import ScheduledAnnouncements
from greenroom.chat.settings import Settings
from greenroom.chat.user_lists import PresentUser, UsersHere
from greenroom.chatlog.bounds import Bounds
from greenroom.chatlog.log import JournaledChatLog
from greenroom.chatlog.recorded_line import RecordedLine
from greenroom.control.app import ControlPlane
from greenroom.control.greenroom.api import greenroom_api
from greenroom.control.greenroom.call import GreenroomServices
from greenroom.control.ivschat.api import ivschat_api
from greenroom.control.ivschat.context import Services
from greenroom.control.pipeline import Pipeline
from greenroom.identities.accounts import Accounts
from greenroom.identities.callers import Callers, RootKey
from greenroom.model.identity import IdentityKind
from greenroom.model.quotas import Quotas, RateProfile
from greenroom.model.room import Room
from greenroom.review.base import Allowed, Denied, Submission, Verdict
from greenroom.review.recent import RecentReviews
from greenroom.storage.memory.store import MemoryStore
from greenroom.telemetry.metrics import Metrics
from greenroom.tokens.key_ring import KeyRing
from greenroom.vault.sealing import Sealer
from greenroom.vault.token_keys import TokenKeys
from greenroom.vault.vault import Vault
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.listening import ListeningBus
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.scene import Kept

ACCOUNT = "123456789012"
STRANGER = "210987654321"
REGION = "us-east-1"
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:review"
KEYS = {
    account: RootKey(f"AKIA{account}", f"secret-of-{account}", account)
    for account in (ACCOUNT, STRANGER)
}


class Answer(msgspec.Struct):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: Any

    def error(self) -> tuple[int, str]:
        """Return status and code of an error."""
        assert self.headers["x-amzn-errortype"] == self.body["__type"]
        return self.status, self.body["__type"]

    def fields(self) -> list[str]:
        """Return the paths of the fields that a ValidationException names."""
        assert self.error() == (400, "ValidationException")
        assert self.body["reason"] == "FIELD_VALIDATION_FAILED"
        return [field["name"] for field in self.body["fieldList"]]


class CheckedReviewer:
    """Says of functions what a test tells it to say, and keeps what it was asked."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        self.asked: list[str] = []
        self.denies = ""
        self.reviewed = 0
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()

    async def review(self, room: Room, submission: Submission) -> Verdict:
        self.reviewed += 1
        self.begun.set()
        await self.go_on.wait()
        if self.denies:
            return Denied(self.denies)
        return Allowed(submission.content, submission.attributes)

    async def problem(self, uri: str) -> str | None:
        self.asked.append(uri)
        return self.problems.get(uri)


async def _caught_up(_room: str, *, surely: bool = True) -> bool:
    """Have all in the store."""
    return True


class Caller:
    """A service with two accounts, and calls to it."""

    def __init__(self, profile: RateProfile = RateProfile.OFF, **quotas: int) -> None:
        self.time, self.store, bus = HandClock(), MemoryStore(), ListeningBus()
        self.rooms, self.bus = RoomsCache(self.store.rooms, bus, LooseTasks()), bus
        self.ring = KeyRing({"k": bytes(32)}, "k")
        self.ring_kept = self.ring
        """What another node has made of it."""
        self.published = bus.published
        self.reviewer = CheckedReviewer()
        ids, nonces = itertools.count(1), itertools.count(1)
        settled = Quotas(profile, quotas)
        self.destination, self._tasks = Kept(), asyncio.TaskGroup()
        self.chat_log = JournaledChatLog(
            self.store,
            lambda _: self.destination,
            self._tasks,
            clock=self.time.clock,
            random=lambda: 1.0,
            bounds=Bounds(),
            metrics=Metrics(),
        )
        self.accounts = Accounts(self.store.identities, bus, self.time.clock)
        self.restrictions = Restrictions(
            self.store.restrictions, bus, self.time.clock, LooseTasks()
        )
        chat = Chat(
            self.rooms,
            RecordedLine(bus, self.chat_log),
            settled,
            self.time.clock,
            lambda: f"Id{next(ids):010}",
            self.accounts.check,
            reviewer=self.reviewer,
            restrictions=self.restrictions,
        )
        self.addresses: frozenset[str] = frozenset()
        self.moderation = Moderation(
            chat, self.restrictions, self.time.clock, addresses=self._addresses
        )
        self.settings = Settings(chat, self.rooms, self.store.rooms, bus, self.time.clock)
        self.services = Services(
            store=self.store,
            control=bus,
            chat=chat,
            settings=self.settings,
            restrictions=self.restrictions,
            chat_log=self.chat_log,
            rooms=self.rooms,
            reviewer=self.reviewer,
            ring=self.ring,
            read_keys=self._read_keys,
            quotas=settled,
            clock=self.time.clock,
            ids=lambda: f"Id{next(ids):010}",
            nonces=lambda size: next(nonces).to_bytes(size, "big"),
            metrics=Metrics(),
        )
        self.presence = Alone(self.time.clock)
        self.reviews = RecentReviews(self.time.clock)
        self.keys: Any = None
        self.plane = self.plane_of()

    async def _read_keys(self) -> None:
        self.ring.adopt(self.ring_kept)

    async def _addresses(self, _scope: str, _user_id: str) -> frozenset[str]:
        return self.addresses

    def plane_of(self, audit_log: AuditLog | None = None) -> ControlPlane:
        """Return a control plane of the ivschat API, and of what Greenroom has for rooms."""
        kept_messages = KeptMessages(self.store.history, _caught_up, self.time.clock)
        pipeline = Pipeline(
            Callers(*KEYS.values()),
            self.accounts,
            self.services.clock,
            self.services.quotas,
            self.services.metrics,
            audit_log,
        )
        posting = Posting(
            self.services.chat,
            Replies(self.services.chat, Originals(self.bus), self.services.ids),
            self.store.sent_messages,
            self.time.clock,
            self.services.ids,
            self.services.metrics,
        )
        own = GreenroomServices(
            keys=self.keys,
            accounts=self.accounts,
            identities=self.store.identities,
            end_sessions=self._end_sessions,
            reviews=self.reviews,
            rooms=self.store.rooms,
            tags=self.store.tags,
            settings=self.settings,
            moderation=self.moderation,
            role_changes=RoleChanges(self.services.chat, self.restrictions, self.time.clock),
            pins=Pins(
                self.services.chat,
                self.rooms,
                self.store.rooms,
                self.bus,
                Originals(self.bus),
                self.time.clock,
            ),
            deletions=Deletions(
                self.services.chat,
                self.bus,
                kept_messages,
                self.time.clock,
                self.store.held_messages,
            ),
            kept_messages=kept_messages,
            posting=posting,
            schedules=ScheduledAnnouncements(
                self.services.chat,
                posting,
                self.store.rooms,
                self.bus,
                self.time.clock,
                self.services.ids,
                self.services.metrics,
                LooseTasks(),
            ),
            restrictions=self.restrictions,
            kept_restrictions=self.store.restrictions,
            connections=lambda _room, _user: 0,
            presence=self.presence,
            users=UsersHere(self.users_here),
            clock=self.time.clock,
        )
        return ControlPlane(pipeline, ivschat_api(self.services), greenroom=greenroom_api(own))

    async def users_here(self, room_arn: str, after: str, most: int) -> list[PresentUser]:
        """Return who is in a room."""
        users = self.presence.occupancies().users(room_arn)
        found = sorted(str(each) for each in users if str(each) > after)
        return [PresentUser(each, users[each], {"color": "red"}) for each in found[:most]]

    async def listening(self) -> "Caller":
        """Let what is published reach the caches from now on."""
        await self.bus.start()
        return self

    async def operating(self) -> "Caller":
        """Have keys of chat tokens besides, which operators may list, rotate and kill."""
        await self.listening()
        vault = Vault(self.store.secrets, Sealer(bytes(32)))
        self.keys = await TokenKeys.open(vault, self.bus, self.time.clock, LooseTasks())
        self.plane = self.plane_of()
        return self

    async def _end_sessions(self, kind: IdentityKind | None, name: str) -> None:
        await self.store.identities.end_sessions(ACCOUNT, kind, name)

    @asynccontextmanager
    async def recording(self) -> AsyncIterator["Caller"]:
        """Let rooms have records, and deliver them in the end."""
        async with self._tasks:
            yield await self.listening()
            await self.chat_log.stop(5)

    async def call(
        self, operation: str, account: str = ACCOUNT, region: str = REGION, **parameters: Any
    ) -> Answer:
        """Sign and send one request of either service model."""
        own = own_service.OPERATIONS.get(operation)
        model = own or OPERATIONS[operation]
        path, query = model.path, ""
        if "{resourceArn}" in path:
            path = path.replace("{resourceArn}", quote(parameters.pop("resourceArn"), safe=""))
            query = urlencode([("tagKeys", key) for key in parameters.pop("tagKeys", ())])
        body = msgspec.json.encode(parameters) if model.method != "DELETE" else b""
        key = KEYS[account]
        request = Request(
            model.method, path, query, (("host", "h"), ("content-type", "application/json")), body
        )
        added = sign(
            request,
            key.access_key_id,
            key.secret_access_key,
            region,
            "greenroom" if own else "ivschat",
            self.time.clock.now(),
        )
        return await self.send(
            msgspec.structs.replace(request, headers=(*request.headers, *added.items()))
        )

    async def send(self, request: Request, *chunks: bytes, ends: bool = True) -> Answer:
        """Send a request as uvicorn does, its body perhaps in chunks."""
        parts = list(chunks or (request.body,))
        sent: list[Any] = []
        scope = {
            "type": "http",
            "method": request.method,
            "raw_path": request.raw_path.encode("latin-1"),
            "query_string": request.query_string.encode("latin-1"),
            "headers": [(name.encode(), value.encode()) for name, value in request.headers],
        }

        async def receive() -> dict[str, Any]:
            if not parts:
                return {"type": "http.disconnect"}
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts) or not ends}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.plane(scope, receive, send)
        start, end = sent
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        assert len(headers) == len(start["headers"])
        if start["status"] != 204:
            assert headers["content-length"] == str(len(end["body"]))
        body = msgspec.json.decode(end["body"]) if end["body"] else None
        return Answer(start["status"], headers, body)

    async def created(self, operation: str = "CreateRoom", **parameters: Any) -> str:
        """Create a resource and return its ARN."""
        answer = await self.call(operation, **parameters)
        assert answer.status == 200, answer.body
        return str(answer.body["arn"])

    async def configuration(self, name: str = "bucket", **parameters: Any) -> str:
        """Create a logging configuration and return its ARN."""
        return await self.created(
            "CreateLoggingConfiguration",
            destinationConfiguration={"s3": {"bucketName": name}},
            **parameters,
        )
