"""Agency nodes against a real axis that is brought back from an older copy of its journal."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from agencies import config
from agencies.clock import SystemClock
from axis.app.home import init_home
from tests.e2e.test_agency_exchange import LIMIT, Country, until, volumes_agree
from tests.support.country import free_port
from tests.support.wire import served

_JOURNAL = ("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm")


@asynccontextmanager
async def serving_again(country: Country) -> AsyncIterator[None]:
    async with served(country.axis_home) as axis:
        country.axis = axis.running
        yield


def copy(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for name in _JOURNAL:
        (target / name).unlink(missing_ok=True)
        if (source / name).exists():
            shutil.copy(source / name, target / name)


async def decided(country: Country, subject: str, decision: dict[str, str] | None) -> str:
    """A document from G14 to G22, whose software decides."""
    queued = await country.post("G14", {"to": ["G22"], "subject": subject}, subject.encode())
    document_id = str(queued["document_id"])
    await country.arrived("G22", document_id)
    if decision is not None:
        await country.json("POST", "G22", f"/v1/inbox/{document_id}/receipt", json=decision)
        await country.outcome("G14", document_id)
    return document_id


async def test_an_axis_restored_from_an_older_copy_loses_no_document(tmp_path: Path) -> None:
    await asyncio.to_thread(init_home, tmp_path / "axis", f"127.0.0.1:{free_port()}", "127.0.0.1:0")
    timeout = aiohttp.ClientTimeout(total=LIMIT)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        country: Any = Country(tmp_path, None, session, SystemClock())  # type: ignore[arg-type]
        try:
            await exchange_and_restore(country)
        finally:
            await asyncio.gather(*(node.stop() for node in country.nodes.values()))


async def exchange_and_restore(country: Country) -> None:
    refusal = {"outcome": "refused", "reason": "gửi nhầm"}
    async with serving_again(country):
        for code in ("G14", "G22"):
            await country.join(code)
        home = country.folder / "G22"
        config.save(home, config.load(home).model_copy(update={"receipt": "software"}))
        for code in ("G14", "G22"):
            await country.start(code)
        kept = await decided(country, "Trước", {"outcome": "received"})
    copy(country.axis_home, country.folder / "copy")
    async with serving_again(country):
        refused = await decided(country, "Từ chối", refusal)
        received = await decided(country, "Nhận", {"outcome": "received"})
        waiting = await decided(country, "Chờ", None)
        places = {one: await place(country, one) for one in (kept, refused, received, waiting)}
    copy(country.folder / "copy", country.axis_home)
    async with serving_again(country):
        # Something else takes the places of what was lost.
        await country.operator("org.add", code="X9", name="New")
        await until(lambda: moved(country, places, refused, received, waiting))
        found = await settled(country, refused)
        assert (found["state"], found["deliveries"][0]["receipt"]["reason"]) == ("refused", "gửi nhầm")
        assert (await settled(country, received))["state"] == "delivered"
        assert (await settled(country, kept))["state"] == "delivered"
        assert await place(country, kept) == places[kept]
        assert (await country.json("GET", "G22", f"/v1/inbox/{waiting}"))["state"] == "waiting"
        await country.json("POST", "G22", f"/v1/inbox/{waiting}/receipt", json={"outcome": "received"})
        assert (await settled(country, waiting))["state"] == "delivered"
        await until(lambda: all_taken(country, kept, refused, received, waiting))
        await volumes_agree(country)


async def settled(country: Country, document_id: str) -> Any:
    async with asyncio.timeout(LIMIT):
        while not (found := await country.outcome("G14", document_id))["deliveries"][0]["receipt"]:
            await asyncio.sleep(0.02)
    return found


async def place(country: Country, document_id: str) -> bytes:
    row = country.nodes["G22"].parts.store.row(
        "SELECT acceptance_signed FROM received WHERE document_id = ?", document_id
    )
    assert row is not None
    return bytes(row["acceptance_signed"])


async def moved(country: Country, places: dict[str, bytes], *documents: str) -> bool:
    return all([await place(country, one) != places[one] for one in documents])


async def all_taken(country: Country, *documents: str) -> bool:
    found = [await country.json("GET", "G22", f"/v1/inbox/{one}") for one in documents]
    return {d["receipt"] for one in found for d in one["deliveries"]} == {"taken"}
