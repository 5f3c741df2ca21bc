"""The operator's console, listening beside the agency API."""

from __future__ import annotations

import os
import secrets
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
from axis.console.metrics import ConsoleMetrics

__all__ = ["start_console"]

_LINK_FILE: Final = "console.token"


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
        ready=lambda: node.sequencer.broken or node.journal.doubt or node.sequencer.clock_doubt or None,
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


def _write_token(node: Node, token: str) -> None:
    """For scripts of the same user: they read it from the home."""
    path = node.home.path / _LINK_FILE
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token)
