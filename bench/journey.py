"""`axis bench journey`: the whole journey measured on this machine.

Every agency node and the axis are processes of their own; every hop is TLS 1.3, every signature is made and
verified, every promise is durable. Documents are posted to the senders' local APIs, a fixed number in flight;
a document is done when its sender holds the last receipt, verified and stored.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from axis.demo.launch import Agency, LocalAxis
from axis.demo.traffic import Sent, Traffic
from axis.demo.units import demo_units
from bench.books import misdelivered
from bench.floor import floor_seconds, journey_work
from bench.large import large_attachment
from bench.measure import Usage, disk_bytes, own_usage
from bench.poster import Poster

__all__ = ["run_journey"]

ATTACHMENT_BYTES: Final = 20_000
MEAN_RECIPIENTS: Final = 3.0
_IN_FLIGHT: Final = 96
#: multipart/form-data, written once: the load generator shares the cores with what it measures.
_FORM: Final = (
    b'--axis\r\nContent-Disposition: form-data; name="document"\r\nContent-Type: application/json\r\n\r\n%b'
    b'\r\n--axis\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n%b\r\n--axis--\r\n"
)
_FORM_TYPE: Final = "multipart/form-data; boundary=axis"
_DONE: Final = frozenset({"delivered", "refused", "partly_refused", "dead", "rejected"})


@dataclass(frozen=True, slots=True)
class _Document:
    """One to be posted: made before the clock runs."""

    sender: Agency
    recipients: list[str]
    form: bytes
    sha256: str


@dataclass(slots=True)
class _Load:
    """The documents of one run and when each was handed in and done."""

    agencies: list[Agency]
    rng: random.Random
    sent: list[Sent] = field(default_factory=list)
    began: dict[str, float] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)
    all_done: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_IN_FLIGHT))
    expected: int = 0
    posters: dict[str, Poster] = field(default_factory=dict)

    def finish(self, document_id: str, at: float) -> None:
        if document_id not in self.done:
            self.done[document_id] = at
            self.gate.release()
            if len(self.done) == self.expected:
                self.all_done.set()

    def make(self) -> _Document:
        """The next document, ready to be posted."""
        sender = self.rng.choice(self.agencies)
        recipients = self.recipients(sender)
        content = self.rng.randbytes(ATTACHMENT_BYTES)
        request = {"to": recipients, "subject": "Đo hiệu năng", "from": sender.code}
        form = _FORM % (json.dumps(request).encode(), content)
        return _Document(sender, recipients, form, hashlib.sha256(content).hexdigest())

    def recipients(self, sender: Agency) -> list[str]:
        others = [agency.code for agency in self.agencies if agency is not sender]
        chance = min(1.0, (MEAN_RECIPIENTS - 1) / max(1, len(others) - 1))
        count = 1 + sum(self.rng.random() < chance for _ in range(len(others) - 1))
        return self.rng.sample(others, count)


async def run_journey(
    home: Path, documents: int, agencies: int, say: Callable[[str], None], *, large_mib: int = 0
) -> dict[str, object]:
    """Measure; the contract's shape of `axis bench … --json`, with the large attachment where asked for."""
    local = LocalAxis(home, say)
    try:
        say(f"starting the axis and {agencies} agency nodes")
        await local.start(demo_units(agencies), listen="127.0.0.1:0", console="127.0.0.1:0")
        load = _Load(local.agencies, random.Random(1))
        async with AsyncExitStack() as opened:
            timeout = aiohttp.ClientTimeout(total=None, connect=10)
            session = await opened.enter_async_context(aiohttp.ClientSession(timeout=timeout))
            for agency in local.agencies:
                load.posters[agency.code] = await opened.enter_async_context(Poster(agency.api_url))
            watches = [asyncio.create_task(_watch(session, agency, load)) for agency in local.agencies]
            await _run(load, min(50, documents), say)  # warm: connections, caches, first pages
            before, disk = _usages(local), disk_bytes(home)
            warm = len(load.sent)
            seconds = await _run(load, documents, say)
            after = _usages(local)
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
        measured = load.sent[warm:]
        result = _result(load, measured, seconds, before, after)
        result["disk_bytes_per_document"] = (disk_bytes(home) - disk) // len(measured)
        say("checking every inbox")
        result["lost"], result["duplicated"] = await _check(local, load)
        if large_mib:
            say(f"sending one attachment of {large_mib} MiB")
            result["large_attachment"] = await large_attachment(local, large_mib)
    finally:
        await local.stop()
    say("measuring the floor")
    commits = documents * 2 + int(str(result["deliveries"])) // 2
    work = journey_work(documents, int(str(result["deliveries"])), ATTACHMENT_BYTES, commits)
    result["floor_fraction"] = round(floor_seconds(work, home) / seconds, 3)
    return result


async def _run(load: _Load, documents: int, say: Callable[[str], None]) -> float:
    """Send and wait for the last receipt; seconds from the first post to then."""
    made = [load.make() for _ in range(documents)]
    load.expected += documents
    load.all_done.clear()
    started = time.perf_counter()
    posts = []
    for document in made:
        await load.gate.acquire()
        posts.append(asyncio.create_task(_post(load, document)))
    await asyncio.gather(*posts)
    try:
        await asyncio.wait_for(load.all_done.wait(), 120)
    except TimeoutError:
        say(f"{load.expected - len(load.done)} documents have no outcome after 120 s")
    return max(load.done.values(), default=started) - started


async def _post(load: _Load, document: _Document) -> None:
    began = time.perf_counter()
    poster = load.posters[document.sender.code]
    document_id = (await poster.post("/v1/documents", _FORM_TYPE, document.form))["document_id"]
    load.began[document_id] = began
    load.sent.append(Sent(document_id, document.sender, document.recipients, document.sha256))


async def _watch(session: aiohttp.ClientSession, agency: Agency, load: _Load) -> None:
    """Follow a sender's events; note when its documents are done."""
    async with session.get(f"{agency.api_url}/v1/events?only=document_changed") as response:
        response.raise_for_status()
        wanted = False
        async for line in response.content:
            if line.startswith(b"event:"):
                wanted = b"document_changed" in line
            elif wanted and line.startswith(b"data:"):
                data = json.loads(line[5:])
                if data["state"] in _DONE:
                    load.finish(data["document_id"], time.perf_counter())


def _usages(local: LocalAxis) -> dict[str, Usage]:
    nodes = {"axis": local.axis}
    for agency in local.agencies:
        nodes.setdefault(f"agency {agency.code}", local.node_of(agency.code))
    return {name: own_usage(node.pid) for name, node in nodes.items()}


def _result(
    load: _Load, measured: list[Sent], seconds: float, before: dict[str, Usage], after: dict[str, Usage]
) -> dict[str, object]:
    deliveries = sum(len(each.recipients) for each in measured)
    finished = [each.document_id for each in measured if each.document_id in load.done]
    spent = sorted(1000 * (load.done[i] - load.began[i]) for i in finished)
    cuts = statistics.quantiles(spent, n=100, method="inclusive") if len(spent) > 1 else spent * 99
    return {
        "documents": len(measured),
        "deliveries": deliveries,
        "seconds": round(seconds, 3),
        "documents_per_second": round(len(measured) / seconds, 1),
        "deliveries_per_second": round(deliveries / seconds, 1),
        "floor_fraction": 0.0,
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "p99_ms": round(cuts[98], 1),
        "cpu_seconds": {n: round(after[n].cpu_seconds - before[n].cpu_seconds, 2) for n in after},
        "peak_rss_mib": {n: round(after[n].peak_rss_mib, 1) for n in after},
        "in_flight": _IN_FLIGHT,
        "attachment_bytes": ATTACHMENT_BYTES,
        "cores": os.cpu_count(),
    }


async def _check(local: LocalAxis, load: _Load) -> tuple[int, int]:
    async with Traffic(local.agencies, 1) as traffic:
        traffic.sent.extend(load.sent)
        lost, duplicated, _ = await misdelivered(local, traffic)
    return lost, duplicated


def _print(result: dict[str, Any]) -> None:
    print("{documents} documents, {deliveries} deliveries in {seconds} s".format(**result))
    print("{documents_per_second} documents/s, {deliveries_per_second} deliveries/s".format(**result))
    print(
        "submit to last receipt at the sender: p50 {p50_ms}, p95 {p95_ms}, p99 {p99_ms} ms".format(**result)
    )
    print("floor: {floor_fraction} of the time is the unavoidable work by itself".format(**result))
    for name, seconds in result["cpu_seconds"].items():
        print(f"  {name}: {seconds} s CPU, peak {result['peak_rss_mib'][name]} MiB")
    print(
        "{disk_bytes_per_document} bytes on disk a document; {lost} lost, {duplicated} doubled".format(
            **result
        )
    )
    if large := result.get("large_attachment"):
        print(f"one attachment of {large['mib']} MiB in {large['seconds']} s; extra memory by process:")
        for name, mib in large["extra_peak_mib"].items():
            print(f"  {name}: {mib} MiB")


def main() -> int:
    """The command line; `axis bench journey` calls it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--agencies", type=int, default=6)
    parser.add_argument("--large-mib", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="axis-bench-") as folder:
        result = asyncio.run(
            run_journey(
                Path(folder) / "axis",
                arguments.documents,
                arguments.agencies,
                lambda text: print(text, file=sys.stderr, flush=True),
                large_mib=arguments.large_mib,
            )
        )
    if arguments.json:
        print(json.dumps(result))
    else:
        _print(result)
    return 1 if result["lost"] or result["duplicated"] else 0


if __name__ == "__main__":
    sys.exit(main())
