"""Do the books agree? What senders were told against what inboxes hold; and what a node's commands say."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from axis.demo.launch import Agency, LocalAxis
from axis.demo.traffic import Sent, Traffic

__all__ = ["command", "misdelivered"]

_TIMEOUT = aiohttp.ClientTimeout(total=60)


async def misdelivered(local: LocalAxis, traffic: Traffic) -> tuple[int, int, list[str]]:
    """(lost, doubled, what exactly): every document in every recipient's inbox once, with the right file."""
    inboxes = {agency.code: await _inbox(traffic, agency) for agency in local.agencies}
    problems = []
    lost = 0
    by_code = {agency.code: agency for agency in local.agencies}
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        for sent in traffic.sent:
            for code in sent.recipients:
                count = inboxes[code][sent.document_id]
                if count == 0 or not await _file_is_right(session, by_code[code], sent):
                    lost += 1
                    problems.append(f"{sent.document_id} from {sent.sender.code} is not whole at {code}")
    doubled = sum(count - 1 for inbox in inboxes.values() for count in inbox.values() if count > 1)
    expected = {sent.document_id for sent in traffic.sent}
    for code, inbox in inboxes.items():
        strangers = inbox.keys() - expected
        doubled += len(strangers)
        problems += [f"{code} holds {stranger}, which nobody was told is sent" for stranger in strangers]
    open_ones = [each for each in traffic.sent if each.state != "delivered"]
    problems += [f"{each.document_id} is {each.state} at its sender" for each in open_ones]
    return lost, doubled, problems


async def command(
    module: str, name: str, home: Path, *options: str, check: bool = True, lines: bool = False
) -> Any:
    """The JSON that a command of a node prints; a list of it where that is a value a line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *name.split(), "--home", str(home), "--json", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), 300)
    if (check and process.returncode) or not (out or lines):
        raise RuntimeError(f"{module} {name}: {errors.decode(errors='replace')}")
    return [json.loads(line) for line in out.splitlines()] if lines else json.loads(out)


async def _inbox(traffic: Traffic, agency: Agency) -> Counter[str]:
    """How often each document is in an inbox."""
    found: Counter[str] = Counter()
    after = ""
    while True:
        page = await traffic.get(f"{agency.api_url}/v1/inbox?limit=500&after={after}")
        found.update(each["document_id"] for each in page["documents"])
        if not page["documents"] or page["next"] == after:
            return found
        after = page["next"]


async def _file_is_right(session: aiohttp.ClientSession, agency: Agency, sent: Sent) -> bool:
    url = f"{agency.api_url}/v1/inbox/{sent.document_id}/attachments/0"
    async with session.get(url) as response:
        return response.status == 200 and hashlib.sha256(await response.read()).hexdigest() == sent.sha256
