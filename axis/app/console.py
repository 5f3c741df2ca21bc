"""The operator's console, listening beside the agency API."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from aiohttp import web

from axis.app.audits import Audits
from axis.app.node import Node
from axis.app.operations import operations
from axis.config import parse_address
from axis.console.accounts import Accounts
from axis.console.acts import Acts
from axis.console.app import Sources, create_console
from axis.console.health import Check
from axis.console.metrics import ConsoleMetrics
from axis.ports import JournalBroken

__all__ = ["start_console"]

_LINK_FILE: Final = "console.token"
#: Pages that are older than this are behind; they follow within parts of a second.
_BEHIND_MS: Final = 10_000


async def start_console(node: Node, metrics: ConsoleMetrics, opened: AsyncExitStack) -> str:
    """Listen at the settings' address until `opened` closes; the link that logs in.

    The token in it is new each time, so a link is good until the node stops.
    """
    token = secrets.token_urlsafe(32)
    _write_token(node, token)
    host, port = parse_address(node.home.settings.console)
    sources = Sources(
        views=node.views,
        record=node.journal.record,
        metrics=metrics,
        checks=lambda: _checks(node),
        now=node.clock.now,
        contacts=node.peers.contacts,
        directory=node.directory.newest,
    )
    operate = operations(node, serving=True)
    audits = Audits(node.home.path, node.clock, lambda: operate["views.sync"]({}))
    opened.push_async_callback(audits.close)
    application = create_console(
        sources,
        token=token,
        hosts=(host, *node.home.settings.names),
        proxies=map(str, node.home.settings.trusted_proxies),
        accounts=Accounts(node.home.path),
        acts=Acts(operate),
        audits=audits,
    )
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=2.0)
    await runner.setup()
    opened.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, host, port)
    await site.start()
    port = runner.addresses[0][1]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/?token={token}"


def _checks(node: Node) -> Sequence[Check]:
    """What the node needs to accept documents, and what its pages need."""
    return (
        Check("journal", "what is decided is appended to the journal", node.sequencer.broken),
        Check("head", "the journal's head is confirmed, so that nothing older is told", node.journal.doubt),
        Check("clock", "the clock agrees with the journal", node.sequencer.clock_doubt),
        Check("views", "pages and metrics show what the journal holds", _views_doubt(node), required=False),
    )


def _views_doubt(node: Node) -> str:
    """Why pages are older than the journal; empty while they follow it."""
    try:
        waits_since = node.journal.time_of(node.views.stands_at + 1)
    except (JournalBroken, sqlite3.Error):
        return "the journal cannot be read: the log says why"
    if not waits_since or node.clock.now() - waits_since < _BEHIND_MS:
        return ""
    return "pages and metrics are behind the journal: they catch up, or the log says why they do not"


def _write_token(node: Node, token: str) -> None:
    """For scripts of the same user: they read it from the home."""
    path = node.home.path / _LINK_FILE
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token)
