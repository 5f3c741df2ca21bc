"""After the faults: is everything there once, with the right bytes, and do all books say the same?"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import aiohttp

from axis.demo.launch import Agency
from bench.books import command
from bench.chaos.load import Letter, Load, all_pages

__all__ = ["Audits", "audited", "deliveries_right", "longest_outage", "volumes_right"]

_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)
_LIMIT_SECONDS: Final = 300.0
_AT_ONCE: Final = 8
_ALL: Final = "10000000"


async def deliveries_right(load: Load) -> tuple[int, int, list[str]]:
    """(lost, duplicated, what exactly): every inbox and every file in it against what was sent."""
    lost, duplicated, problems = 0, 0, list[str]()
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, asyncio.timeout(_LIMIT_SECONDS):
        for agency in load.agencies:
            inbox, outbox = [
                Counter(
                    str(entry["document_id"]) for entry in await all_pages(session, agency.api_url + path)
                )
                for path in ("/v1/inbox", "/v1/documents")
            ]
            expected = {each.document_id: each for each in load.letters if agency.code in each.recipients}
            own = {each.document_id for each in load.letters if each.sender == agency.code}
            twice = [f"{agency.code} holds {each} {n} times" for each, n in inbox.items() if n > 1]
            twice += [
                f"{agency.code} holds {each}: nobody sent it" for each in inbox.keys() - expected.keys()
            ]
            twice += [f"{agency.code} sent {each}: nobody was told" for each in outbox.keys() - own]
            missing = [f"{each} is not at {agency.code}" for each in expected.keys() - inbox.keys()]
            missing += [f"{each} is not in its sender's outbox" for each in own - outbox.keys()]
            missing += await _wrong_files(session, agency, list(expected.values()))
            lost, duplicated = lost + len(missing), duplicated + len(twice)
            problems += missing + twice
    undone = [each for each in load.letters if each.state != "delivered"]
    problems += [f"{each.document_id} is {each.state} at {each.sender}" for each in undone]
    return lost, duplicated, problems


async def _wrong_files(session: aiohttp.ClientSession, agency: Agency, letters: list[Letter]) -> list[str]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def look(letter: Letter, number: int, sha256: str) -> str:
        url = f"{agency.api_url}/v1/inbox/{letter.document_id}/attachments/{number}"
        async with gate, session.get(url) as response:
            content = await response.read()
        if response.status == 200 and hashlib.sha256(content).hexdigest() == sha256:
            return ""
        return f"file {number} of {letter.document_id} is not as sent at {agency.code}"

    looks = [look(letter, n, sha256) for letter in letters for n, sha256 in enumerate(letter.files)]
    return [wrong for wrong in await asyncio.gather(*looks) if wrong]


async def volumes_right(load: Load, axis_home: Path) -> list[str]:
    """An axis's volumes against the agencies' own and against what was sent; what differs."""
    rows = {row["code"]: row for row in (await command("axis.cli", "volumes", axis_home))["rows"]}
    sent = Counter(each.sender for each in load.letters)
    received = Counter(code for each in load.letters for code in each.recipients)
    differences = []
    for agency in load.agencies:
        row, code = rows[agency.code], agency.code
        own_rows = (await command("agencies.cli", "volumes", agency.home))["rows"]
        own = next(each for each in own_rows if each["code"] == code)
        for what, told in (("sent", sent[code]), ("received", received[code])):
            if not row[what] == own[what] == told:
                differences.append(f"{code} {what}: axis {row[what]}, agency {own[what]}, told {told}")
        into = row["in_flight_before"] + row["addressed"] + row["requeued"]
        if into != row["received"] + row["refused"] + row["dead"] + row["in_flight"]:
            differences.append(f"{code}: the counting identity does not hold")
    return differences


#: Per axis node: what its audit says, and its volumes.
Audits = dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]


async def audited(homes: dict[str, Path]) -> list[str]:
    """Audit stopped axis nodes: what an audit found, and where two nodes do not agree."""
    audits: Audits = {}
    for name, home in homes.items():
        audit = await command("axis.cli", "audit", home, check=False)
        audits[name] = (audit, (await command("axis.cli", "volumes", home))["rows"])
    problems = [
        f"audit of {name}: {each['code']} at {each['sequence']}: {each['detail']}"
        for name, (audit, _) in audits.items()
        for each in audit["problems"]
    ]
    problems += [
        f"audit of {name}: volumes differ" for name, (a, _) in audits.items() if not a["volumes_equal"]
    ]
    (first, (audit, rows)), *others = audits.items()
    for name, (other, other_rows) in others:
        if other["root_hash"] != audit["root_hash"] or other_rows != rows:
            problems.append(f"{name} and {first} do not hold the same")
    return problems


async def longest_outage(load: Load, axis_home: Path) -> float:
    """The longest time, in seconds, within the load in which the axis accepted nothing; from its journal."""
    lines = await command("axis.cli", "log", axis_home, "--event", "accepted", "--limit", _ALL, lines=True)
    times = sorted(datetime.fromisoformat(line["at"]).timestamp() for line in lines)
    within = [at for at in times if load.began < at < load.ended]
    return max(after - before for before, after in pairwise([load.began, *within, load.ended]))
