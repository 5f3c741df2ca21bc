"""One very large attachment through every hop, and how much memory each process needed for it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from axis.demo.launch import LocalAxis
from bench.measure import own_usage, reset_peak

__all__ = ["large_attachment"]

_CHUNK: Final = bytes(range(256)) * 1024  # 256 KiB
_LIMIT: Final = 600.0


async def large_attachment(local: LocalAxis, mib: int) -> dict[str, object]:
    """Send `mib` MiB from the first agency to the second; wait for the receipt; read it back and compare."""
    sender, receiver = local.agencies[:2]
    nodes = {
        "axis": local.axis,
        "sender": local.node_of(sender.code),
        "receiver": local.node_of(receiver.code),
    }
    before = {name: own_usage(node.pid).rss_mib for name, node in nodes.items()}
    for node in nodes.values():
        reset_peak(node.pid)
    started = time.perf_counter()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_LIMIT)) as session:
        form = aiohttp.FormData()
        document = aiohttp.JsonPayload({"to": [receiver.code], "subject": "Tệp lớn"})
        form.add_field("document", document, content_type="application/json")
        form.add_field("file", _content(mib), filename="large.bin", content_type="application/octet-stream")
        async with session.post(f"{sender.api_url}/v1/documents", data=form) as response:
            response.raise_for_status()
            document_id = (await response.json())["document_id"]
        state = await _settled(session, f"{sender.api_url}/v1/documents/{document_id}")
        seconds = time.perf_counter() - started
        url = f"{receiver.api_url}/v1/inbox/{document_id}/attachments/0"
        digest = hashlib.sha256()
        async with session.get(url) as response:
            response.raise_for_status()
            async for chunk in response.content.iter_chunked(256 * 1024):
                digest.update(chunk)
    expected = hashlib.sha256()
    for _ in range(mib * 4):
        expected.update(_CHUNK)
    return {
        "mib": mib,
        "seconds": round(seconds, 2),
        "state": state,
        "identical": digest.digest() == expected.digest(),
        "extra_peak_mib": {
            name: round(own_usage(node.pid).peak_rss_mib - before[name], 1) for name, node in nodes.items()
        },
    }


async def _content(mib: int) -> AsyncIterator[bytes]:
    for _ in range(mib * 4):
        yield _CHUNK


async def _settled(session: aiohttp.ClientSession, url: str) -> str:
    async with asyncio.timeout(_LIMIT):
        while True:
            async with session.get(url) as response:
                state = str((await response.json())["state"])
            if state not in {"queued", "accepted"}:
                return state
            await asyncio.sleep(0.2)
