"""The agency node, wired: one object for one home, the same in production, in fleets and in tests."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random as random_module
from collections.abc import Awaitable, Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from structlog.contextvars import bound_contextvars

from agencies import config, keys
from agencies.api.application import application
from agencies.backoff import Random
from agencies.clock import SystemClock
from agencies.desk.autoreply import AutoReply
from agencies.desk.packets import Packets
from agencies.desk.service import Service
from agencies.desk.spool import Spool
from agencies.desk.statuses import Statuses
from agencies.events import Events
from agencies.flow.loops import Loops
from agencies.flow.own_certificates import OwnCertificates
from agencies.http.guard import Guard, bearer_token
from agencies.identity import Identity
from agencies.link.axis_client import AxisClient
from agencies.link.directory_sync import DirectorySync
from agencies.link.enrol import Token, enrol
from agencies.link.tls import axis_context
from agencies.local import listening_socket, remove_socket
from agencies.packet_signatures import PacketSignatures
from agencies.parts import NodeParts
from agencies.receipt_modes import ReceiptModes
from agencies.store.contents import Contents
from agencies.store.database import Store
from agencies.store.heads import Heads
from agencies.store.housekeeping import keep_house
from agencies.store.key_ids import ensure_secret
from agencies.store.restored import copied_head
from agencies.tasks import keep_running
from agencies.vxp.administration import Administration
from agencies.vxp.call_log import CallLog
from agencies.vxp.mount import Vxp
from agencies.vxp.systems import Systems
from axis.archive.read import is_draft
from axis.blobs.files import FileBlobs
from axis.control import HomeLock
from axis.core.errors import Refusal
from axis.logs import get_logger
from axis.ports import Blobs, Clock

__all__ = ["Node"]

_STOP_SECONDS: Final = 5.0
#: A VXP call names up to 1,000 recipients in one header.
_FIELD_BYTES: Final = 64 * 1024


class Node:
    """An agency node. `async with Node(home)` starts it; leaving stops it in order.

    `autoreply`: status codes that are said about everything that comes. `online` False: only the control
    socket is served, for one command beside a stopped node. Raises HomeBusy, ConfigError, Refusal
    `storage_full`, OSError (the API's address is taken).
    """

    def __init__(
        self,
        home: Path,
        *,
        online: bool = True,
        api: str | None = None,
        autoreply: Sequence[str] = (),
        clock: Clock | None = None,
        random: Random = random_module.random,
    ) -> None:
        self.home = home
        self.api_url = ""
        self._online = online
        self._api = api
        self._autoreply = autoreply
        self._clock = clock or SystemClock()
        self._random = random
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Node:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> Node:
        """Start; nothing is left behind where that fails."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def stop(self) -> None:
        """Answer no more, let what is under way end, close the store. Idempotent."""
        self.parts.stopping.set()
        # Long polls look up when something happens.
        self.parts.events.publish([("stopping", {})])
        await self._stack.aclose()
        get_logger().info("node_stopped", node=self.parts.identity.code)

    async def _start(self) -> None:
        lock = HomeLock(self.home)
        self._stack.callback(lock.release)
        if is_draft(self.home):
            raise config.ConfigError(f"{self.home} is what a restore left that broke off: restore it again")
        settings = config.load(self.home)
        if self._api is not None:
            config.parse_address(self._api)
            settings = settings.model_copy(update={"api": self._api})
        credentials = keys.load_credentials(self.home)
        store = Store(self.home / "agency.sqlite")
        self._stack.callback(store.close)
        await store.write(ensure_secret)
        blobs = Contents(store, FileBlobs.open_root(self.home / "blobs"))
        self._stack.push_async_callback(blobs.close)
        client = AxisClient(settings.axis, _context(credentials), Heads.stored_in(store))
        await self._stack.enter_async_context(client)
        directory = DirectorySync(store, client)
        identity = Identity(settings.code, credentials, directory, self._clock)
        self._systems = Systems(store, self._clock)
        self._wire(settings, store, blobs, client, directory, identity)
        await self._serve()
        if self._online:
            self._start_tasks()
        get_logger().info("node_started", node=settings.code, online=self._online, api=self.api_url)

    def _wire(
        self,
        settings: config.Settings,
        store: Store,
        blobs: Blobs,
        client: AxisClient,
        directory: DirectorySync,
        identity: Identity,
    ) -> None:
        events = Events()
        signatures = PacketSignatures(blobs, settings.packet_signature)
        own_certificates = OwnCertificates(
            lambda: keys.known_keys(self.home), copied_head=lambda: copied_head(store)
        )
        self._loops = Loops(
            settings=settings,
            store=store,
            blobs=blobs,
            client=client,
            directory=directory,
            identity=identity,
            events=events,
            clock=self._clock,
            random=self._random,
            signatures=signatures,
            own_certificates=own_certificates,
            receipt_mode=ReceiptModes(settings, self._systems, directory).mode,
        )
        ours: dict[str, Any] = {
            "store": store,
            "identity": identity,
            "directory": directory,
            "clock": self._clock,
            "events": events,
            "queued": self._loops.pump.wake,
            "decided": self._loops.receipts.wake,
        }
        service = Service(**ours, online=self._online)
        statuses = Statuses(**ours)
        spool = Spool(self.home / "spool", blobs, self._clock)
        packets = Packets(
            spool=spool,
            service=service,
            statuses=statuses,
            store=store,
            blobs=blobs,
            directory=directory,
            signatures=signatures,
        )
        self.parts = NodeParts(
            version=_version(),
            settings=settings,
            clock=self._clock,
            store=store,
            blobs=blobs,
            spool=spool,
            identity=identity,
            client=client,
            directory=directory,
            events=events,
            receiver=self._loops.receiver,
            own_certificates=own_certificates,
            service=service,
            statuses=statuses,
            packets=packets,
            stopping=asyncio.Event(),
        )

    async def _serve(self) -> None:
        owner = application(self.parts, None)
        owner.router.add_post("/control/enrol", self._control_enrol)
        calls = CallLog(self.parts.store)
        Administration(self.parts, self._systems, calls).add_routes(owner)
        control = web.AppRunner(owner, access_log=None, shutdown_timeout=_STOP_SECONDS)
        await control.setup()
        self._stack.push_async_callback(control.cleanup)
        await web.SockSite(control, listening_socket(self.home)).start()
        # Gone before the server is: a command that comes then finds no node rather than half of one.
        self._stack.callback(remove_socket, self.home)
        if not self._online:
            return
        settings = self.parts.settings
        guard = Guard(None if settings.api_is_local else bearer_token(self.home))
        app = application(self.parts, guard)
        Vxp(self.parts, self._systems, calls).add_routes(app)
        public = web.AppRunner(
            app, access_log=None, shutdown_timeout=_STOP_SECONDS, max_field_size=_FIELD_BYTES
        )
        await public.setup()
        self._stack.push_async_callback(public.cleanup)
        host, port = config.parse_address(settings.api)
        await web.TCPSite(public, host, port).start()
        port = public.addresses[0][1]
        self.api_url = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def _start_tasks(self) -> None:
        work: dict[str, Callable[[], Awaitable[None]]] = {
            **self._loops.work,
            "housekeeping": lambda: keep_house(self.parts.store, self.parts.blobs, self._clock),
        }
        if self._autoreply:
            parts = self.parts
            work["autoreply"] = AutoReply(
                self._autoreply,
                store=parts.store,
                statuses=parts.statuses,
                events=parts.events,
                clock=self._clock,
            ).run
        # In a fleet one log has several nodes' events.
        with bound_contextvars(node=self.parts.identity.code):
            tasks = [
                asyncio.create_task(keep_running(part, run, self._clock, self._random))
                for part, run in work.items()
            ]
        self._stack.push_async_callback(_end, tasks)

    async def _control_enrol(self, request: web.Request) -> web.Response:
        """POST /control/enrol, at the control socket only."""
        try:
            given = await request.json()
            token, urls = str(given["token"]), tuple(map(str, given.get("axis", ())))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Refusal("field_invalid", f"the body is malformed: {error!r}") from error
        await self._enrol(token, urls)
        return web.json_response({"code": self.parts.identity.code})

    async def _enrol(self, token_text: str, urls: tuple[str, ...]) -> None:
        """A new token for a running node: new keys, everything else kept."""
        token = Token.parse(token_text)
        await enrol(self.home, token, self._clock, axis=urls)
        credentials = keys.load_credentials(self.home)
        self.parts.identity.use(credentials)
        await self.parts.client.use(_context(credentials))
        get_logger().info("keys_replaced", node=self.parts.identity.code)
        self._loops.wake()


@functools.cache
def _version() -> str:
    """This program's; a fleet's nodes need not each look through the installed packages for it."""
    return metadata.version("document-axis")


def _context(credentials: keys.Credentials) -> Any:
    try:
        return axis_context(credentials.anchors, credentials.intermediates, credentials.tls_files)
    except OSError as error:
        raise Refusal("unavailable", f"the TLS certificate or key cannot be read: {error}") from error


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel and await. Again where a library took a cancellation for its own."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=1.0)
