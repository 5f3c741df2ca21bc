"""The load: documents with files, posted to the agencies' own APIs all the time, each noted as it was sent.

An agency that does not answer is asked again under the same Idempotency-Key until it does: only then is it
known whether the document was taken. What is sent follows from the seed; when, from the country's answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from axis.demo.content import draft
from axis.demo.launch import Agency
from axis.demo.traffic import choose_recipients

__all__ = ["Letter", "Load", "all_pages"]

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=3)
_RETRY_SECONDS: Final = 0.3
_PAGE: Final = 500
_OPEN: Final = frozenset({"queued", "accepted"})
#: Bytes of a file: mostly small ones, some over the 64 KiB from which they travel by themselves.
_SIZES: Final = ((0.70, 1_000, 16_000), (0.25, 16_000, 60_000), (0.05, 70_000, 300_000))


@dataclass(slots=True)
class Letter:
    """A document that its sender's node has taken. `files`: SHA-256 of each attachment, as it was sent."""

    document_id: str
    sender: str
    recipients: tuple[str, ...]
    files: tuple[str, ...]
    state: str = "queued"


@dataclass(slots=True)
class Load:
    """`rate`: documents a second of the whole country."""

    agencies: list[Agency]
    seed: int
    rate: float
    letters: list[Letter] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    #: Seconds since the epoch.
    began: float = 0.0
    ended: float = 0.0
    _enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Post until `end`; what is under way then is finished, or asked for until it is."""
        self.began = time.time()
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, asyncio.TaskGroup() as group:
            for agency in self.agencies:
                group.create_task(self._write_letters(session, agency))

    def end(self) -> None:
        """Offer nothing new."""
        self.ended = time.time()
        self._enough.set()

    async def settle(self, timeout: float) -> bool:
        """Wait until every sender knows every outcome; False when that takes too long."""
        by_id = {letter.document_id: letter for letter in self.letters}
        try:
            async with asyncio.timeout(timeout), aiohttp.ClientSession(timeout=_TIMEOUT) as session:
                while any(letter.state in _OPEN for letter in self.letters):
                    for agency in self.agencies:
                        for entry in await all_pages(session, f"{agency.api_url}/v1/documents"):
                            if (letter := by_id.get(entry["document_id"])) is not None:
                                letter.state = entry["state"]
                    await asyncio.sleep(1.0)
        except TimeoutError:
            return False
        return True

    async def _write_letters(self, session: aiohttp.ClientSession, agency: Agency) -> None:
        rng = random.Random(f"{self.seed}/{agency.code}")
        others = [other.code for other in self.agencies if other is not agency]
        interval = len(self.agencies) / self.rate
        number = 0
        while not self._enough.is_set():
            number += 1
            await self._post(session, agency, rng, number, tuple(choose_recipients(rng, others)))
            try:
                await asyncio.wait_for(self._enough.wait(), rng.uniform(0.5, 1.5) * interval)
            except TimeoutError:
                continue

    async def _post(
        self,
        session: aiohttp.ClientSession,
        agency: Agency,
        rng: random.Random,
        number: int,
        recipients: tuple[str, ...],
    ) -> None:
        text = draft(rng, agency.name, number, datetime.now(UTC)).as_request(agency.code, list(recipients))
        files = [_content(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        while True:
            form = aiohttp.FormData(quote_fields=False)
            form.add_field("document", aiohttp.JsonPayload(text), content_type="application/json")
            for index, content in enumerate(files):
                form.add_field("file", content, filename=f"{number}-{index}.bin")
            try:
                async with session.post(
                    f"{agency.api_url}/v1/documents", data=form, headers=headers
                ) as response:
                    answer = await response.json()
                    if response.status < 500:
                        break
            except (aiohttp.ClientError, TimeoutError, ValueError):
                pass
            await asyncio.sleep(_RETRY_SECONDS)
        if response.status != 202:
            self.problems.append(f"{agency.code} did not take a document: {response.status} {answer}")
            return
        hashes = tuple(hashlib.sha256(content).hexdigest() for content in files)
        self.letters.append(Letter(answer["document_id"], agency.code, recipients, hashes))


async def all_pages(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    """Every document of an agency's list; waits for an agency that does not answer. Bound it yourself."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        try:
            async with session.get(url, params={"limit": str(_PAGE), "after": after}) as response:
                page = await response.json() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            page = None
        if page is None:
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        found += page["documents"]
        if not page["documents"] or page["next"] == after:
            return found
        after = page["next"]


def _content(rng: random.Random) -> bytes:
    _, low, high = rng.choices(_SIZES, [size[0] for size in _SIZES])[0]
    return rng.randbytes(rng.randint(low, high))
