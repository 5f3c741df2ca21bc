"""Do the books agree? What senders were told, what inboxes hold, what the axis counted."""

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

__all__ = ["audit_clean", "books_equal", "misdelivered"]

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


async def books_equal(local: LocalAxis, traffic: Traffic) -> list[str]:
    """The axis's volumes against the agencies' own and against what was sent; what differs."""
    rows = {row["code"]: row for row in (await command("axis.cli", "volumes", local.home))["rows"]}
    sent = Counter(each.sender.code for each in traffic.sent)
    received = Counter(code for each in traffic.sent for code in each.recipients)
    differences = []
    for agency in local.agencies:
        row = rows[agency.code]
        own = (await command("agencies.cli", "volumes", agency.home))["rows"]
        own_row = next(each for each in own if each["code"] == agency.code)
        facts = {
            "sent": (row["sent"], own_row["sent"], sent[agency.code]),
            "received": (row["received"], own_row["received"], received[agency.code]),
        }
        differences += [
            f"{agency.code} {what}: axis {axis}, agency {its}, told {told}"
            for what, (axis, its, told) in facts.items()
            if not axis == its == told
        ]
        into = row["in_flight_before"] + row["addressed"] + row["requeued"]
        out = row["received"] + row["refused"] + row["dead"] + row["in_flight"]
        if into != out:
            differences.append(f"{agency.code}: the counting identity does not hold")
    return differences


async def audit_clean(home: Path) -> list[str]:
    """What `axis audit` finds wrong; empty when nothing."""
    answer = await command("axis.cli", "audit", home, check=False)
    return [f"audit: {each['code']} at {each['sequence']}: {each['detail']}" for each in answer["problems"]]


async def command(module: str, name: str, home: Path, *, check: bool = True) -> Any:
    """The JSON that a command of a node prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, name, "--home", str(home), "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), 300)
    if (check and process.returncode) or not out:
        raise RuntimeError(f"{module} {name}: {errors.decode(errors='replace')}")
    return json.loads(out)


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
